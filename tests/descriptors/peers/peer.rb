require "socket"

channel, descriptors = %w[SOCKETPAIR_PATH SOCKETPAIR_DESCRIPTORS_PATH].map do |variable|
  UNIXSocket.new(ENV.delete(variable)).tap { |socket| socket.write(ENV["SOCKETPAIR_TOKEN"]) }
end
say = ->(text) { channel.write([text.bytesize].pack("I"), text) }
hear = -> { channel.read(4)&.then { |header| channel.read(header.unpack1("I")) } }

while (command = hear.())
  case command
  when "take a file"
    descriptors.recv_io.then { |file| say.(file.read); file.close }
  when "take a pipe"
    descriptors.recv_io.then { |pipe| pipe.write("from the peer"); pipe.close }
  when "take a connection"
    socket = descriptors.recv_io(TCPSocket)
    while (line = socket.gets)
      socket.write(line.upcase)
    end
    socket.close
  when "take a listener"
    server = descriptors.recv_io(TCPServer)
    server.accept.then { |socket| socket.write(socket.gets.upcase); socket.close }
    server.close
  when /^give the file (.*)/
    File.open($1) { |file| file.sysread(5); descriptors.send_io(file) }
  when "give a pipe"
    reader, writer = IO.pipe
    descriptors.send_io(reader)
    reader.close
    writer.write("from the peer")
    writer.close
  when "give a connection"
    server = TCPServer.new("127.0.0.1", 0)
    say.(server.addr[1].to_s)
    socket = server.accept
    socket.write(socket.gets.upcase)
    descriptors.send_io(socket)
    socket.close
    server.close
  when "give a listener"
    TCPServer.open("127.0.0.1", 0) { |server| descriptors.send_io(server) }
  when /^echo (\d+)/
    $1.to_i.times { descriptors.recv_io.then { |io| descriptors.send_io(io); io.close } }
  when "count"
    say.(Dir.children("/dev/fd").size.to_s)
  end
end
