use strict;
use warnings;
use IO::Socket::UNIX;

my $parent = IO::Socket::UNIX->new(Peer => delete $ENV{SOCKETPAIR_PATH}) or die "connect: $@";
print $parent delete $ENV{SOCKETPAIR_TOKEN};

# "L" is native, "N" big-endian
sub send_message { print $parent pack("L/a*", @_) or die "print: $!" }

send_message("hello from perl");
while (my $got = read $parent, my $header, 4) {
    my $length = $got == 4 ? unpack("L", $header) : die "The parent has gone";
    read($parent, my $message, $length) == $length or die "The parent has gone";
    send_message(scalar reverse $message);
}
