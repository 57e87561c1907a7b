# echo.rb
require "socket"

parent = UNIXSocket.new(ENV.delete("SOCKETPAIR_PATH"))
parent.write(ENV.delete("SOCKETPAIR_TOKEN"))
length = ARGV.fetch(0, "I") # as pack has it: "I" is native, "N" big-endian
read = ->(size) { parent.read(size).tap { |bytes| raise EOFError if bytes&.bytesize != size } }
send = ->(message) { parent.write([message.bytesize].pack(length), message) }

send.("hello from ruby")
until parent.eof?
  message = read.(read.(4).unpack1(length))
  send.(message.reverse)
end
