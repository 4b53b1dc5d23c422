package Bench::Load;

# wrk, and the CPU time of nginx's worker meanwhile.

use warnings;
use strict;

use FindBin ();
use HTTP::Tiny ();
use POSIX ();
use Time::HiRes ();

use Bench::Util qw(read_file write_file make_dir execute);

# new(directory for files, CPU of wrk or undef, connections)
sub new {
    my ($class, $dir, $cpu, $connections) = @_;

    make_dir($dir);

    return bless {
        dir => $dir, connections => $connections,
        pin => defined $cpu ? ['taskset', '-c', $cpu] : [],
    }, $class;
}

# seconds of CPU time that all processes of this machine have used, and ours:
# those that have ended
sub _cpu_of_all {
    my ($user, $nice, $system, undef, undef, @interrupts) =
        ((read_file('/proc/stat') // '') =~ /^cpu +(.*)$/m)[0]
            =~ /(\d+)/g;
    my $ticks = $user + $nice + $system;

    $ticks += $_ for grep { defined } @interrupts[0 .. 2];

    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub _cpu_of_children {
    my (undef, undef, $user, $system) = times;
    return $user + $system;
}

# a request, byte for byte
sub text_of {
    my ($request) = @_;
    my $headers = $request->{headers};

    return "GET $request->{uri} HTTP/1.1\r\nHost: localhost\r\n"
           . join('', map { "$_: $headers->{$_}\r\n" } sort keys %$headers)
           . "\r\n";
}

sub _file { "$_[0]{dir}/" . $_[1] =~ tr{/}{.}r }

# What a server of nginx is to be sent.
sub prepare {
    my ($self, $server, @requests) = @_;
    write_file($self->_file($server), join '', map { text_of($_) } @requests);
}

sub command {
    my ($self, $nginx, $server, $seconds) = @_;
    my $port = $nginx->port($server);

    return (@{ $self->{pin} }, 'wrk', '-t', 1, '-c', $self->{connections},
            '-d', $seconds . 's', '--timeout', '10s',
            '-s', "$FindBin::Bin/load.lua", "http://127.0.0.1:$port/",
            '--', $self->_file($server));
}

# One run against a server of nginx: requests and CPU microseconds a request.
# Every response has the status of the case and at least so many bytes, or
# this dies.
sub measure {
    my ($self, $nginx, $server, $seconds, $status, $bytes) = @_;

    # the connections of the run before are to be closed by now

    Time::HiRes::usleep(50_000);

    my ($all, $children) = (_cpu_of_all(), _cpu_of_children());
    my $before = $nginx->cpu_time;
    my ($elapsed, $output) = execute($seconds + 30,
                           $self->command($nginx, $server, $seconds));

    Time::HiRes::usleep(50_000);
    my $cpu = $nginx->cpu_time - $before;
    my $others = _cpu_of_all() - $all - (_cpu_of_children() - $children)
                 - $cpu / 1e9;

    $nginx->check;

    my %done = $output =~ /^done .*?$/m ? $& =~ /(\w+)=(\d+)/g
                                        : die "wrk did not end:\n$output";
    my $n = $done{requests};

    die "no response:\n$output" if $n == 0;
    die "sockets failed:\n$output" if $done{failed};
    die "responses of other statuses:\n$output"
        if $done{refused} != ($status > 399 ? $n : 0);
    die "responses were short:\n$output"
        if $done{bytes} / $n < ($bytes // 0);   # a 304 has none

    return {
        requests => $n,
        seconds => $done{us} / 1e6,
        rate => $n / $done{us} * 1e6,
        cpu => $cpu / $n / 1e3,
        busy => $cpu / $done{us} / 1e3,
        others => $others > 0 ? $others / $elapsed : 0,
        p50 => $done{p50}, p99 => $done{p99}, max => $done{max},
    };
}

my $http = HTTP::Tiny->new(agent => 'bench', timeout => 20);

# One request by other means, to look at the answer.
sub fetch {
    my ($nginx, $server, $request) = @_;
    my $url = 'http://127.0.0.1:' . $nginx->port($server) . $request->{uri};

    return $http->get($url, { headers => $request->{headers} });
}

1;
