# The Ruby program that socketpair began from, measured: UNIXSocket.pair, fork, and a length in front of every message.
#
# usage: ruby ruby.rb WORKLOAD SIZE COUNT WARM

require "json"
require "socket"

PAUSE_EVERY = 8 << 20
PAUSE = 0.01
EXCHANGES = 100

class Channel
  def initialize(socket)
    @socket = socket
    @bytes = String.new
  end

  def send(message)
    @socket.write([message.bytesize].pack("I"), message)
  end

  def receive
    header = @socket.read(4) or return
    @socket.read(header.unpack1("I"), @bytes)
  end

  def close
    @socket.close
  end
end

workload, size, count, warm = ARGV[0], *ARGV[1..].map(&:to_i)
slow = workload == "slow"
message = "x" * size

send_many = ->(channel, n) { n.times { channel.send(message) } }

receive_many = lambda do |channel, n|
  until_pause = PAUSE_EVERY
  n.times do
    raise "wrong length" if channel.receive.bytesize != size
    next unless slow && (until_pause -= size) < size
    sleep(PAUSE)
    until_pause = PAUSE_EVERY
  end
  n
end

send_and_receive_many = lambda do |channel, n|
  sender = Thread.new { send_many.(channel, n) }
  received = receive_many.(channel, n)
  sender.join
  received
end

child = lambda do |channel, n|
  case workload
  when "roundtrip", "children" then n.times { channel.send(channel.receive) }
  when "both" then channel.send([send_and_receive_many.(channel, n)].pack("I"))
  else channel.send([receive_many.(channel, n)].pack("I"))
  end
end

parent = lambda do |channel, n|
  case workload
  when "roundtrip"
    n.times { channel.send(message); raise "wrong length" if channel.receive.bytesize != size }
    n
  when "both"
    send_and_receive_many.(channel, n) + channel.receive.unpack1("I")
  else
    send_many.(channel, n)
    channel.receive.unpack1("I")
  end
end

start = lambda do |*counts|
  ours, theirs = UNIXSocket.pair
  pid = fork do
    ours.close
    channel = Channel.new(theirs)
    counts.each { |n| child.(channel, n) }
    channel.receive unless workload == "children"
  end
  theirs.close
  [Channel.new(ours), pid]
end

now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
report = ->(line) { $stdout.puts(line.to_json); $stdout.flush }

if workload == "children"
  began = now.()
  channels = count.times.map { start.(EXCHANGES).first }
  EXCHANGES.times do
    channels.each { |channel| channel.send(message) }
    channels.each(&:receive)
  end
  Process.waitall
  report.({ messages: count * EXCHANGES, seconds: now.() - began })
else
  channel, pid = start.(warm, count)
  parent.(channel, warm)
  if slow
    report.({ pids: [Process.pid, pid] })
    $stdin.gets
  end
  began = now.()
  messages = parent.(channel, count)
  report.({ messages: messages, seconds: now.() - began })
  $stdin.gets if slow
  channel.close
  Process.wait
end
