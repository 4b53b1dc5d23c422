package Bench::Probe;

# The longest request: one after the other over one connection, and after
# each the CPU time of nginx's worker, once it sleeps again.  So it is no
# matter who else wanted the CPU meanwhile.

use warnings;
use strict;

use Exporter 'import';
use IO::Socket::INET ();
use Time::HiRes ();

use Bench::Load ();

our @EXPORT_OK = qw(longest_request);


# milliseconds, out of how many requests
sub longest_request {
    my ($nginx, $server, $seconds, @requests) = @_;
    my @texts = map { Bench::Load::text_of($_) } @requests;
    my $end = Time::HiRes::time() + $seconds;
    my ($longest, $n) = (0, 0);

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $nginx->port($server),
        Timeout => 10) or die "connect: $@\n";

    # what a worker does once is none of a request

    _ask($socket, $texts[$_ % @texts]) for 0 .. 19;
    _sleeps($nginx);
    my $before = $nginx->cpu_time;

    while ($n < 10 || Time::HiRes::time() < $end) {
        _ask($socket, $texts[$n++ % @texts]);
        _sleeps($nginx);

        my $after = $nginx->cpu_time;

        $longest = $after - $before if $after - $before > $longest;
        $before = $after;
    }

    return ($longest / 1e6, $n);
}

sub _ask {
    my ($socket, $text) = @_;
    my $answer = '';

    syswrite($socket, $text) == length $text or die "request: $!\n";

    until (_complete($answer)) {
        sysread $socket, $answer, 1 << 20, length $answer
            or die "nginx closed the connection\n";
    }
}

sub _complete {
    my ($answer) = @_;
    my $head = index $answer, "\r\n\r\n";

    return 0 if $head < 0;
    return 1 if $answer =~ m{^HTTP/1\.1 304};

    my $headers = substr $answer, 0, $head;

    return $answer =~ /\r\n0\r\n\r\n\z/
        if $headers =~ /^transfer-encoding: chunked/mi;

    my ($length) = $headers =~ /^content-length: (\d+)/mi
        or die "an answer without a length:\n$headers\n";

    return length $answer >= $head + 4 + $length;
}

# its CPU time is exact only when it does not run
sub _sleeps {
    my ($nginx) = @_;
    my $end = Time::HiRes::time() + 1;

    until ($nginx->sleeps) {
        return if Time::HiRes::time() > $end;
    }
}

1;
