package Bench::Nginx;

# One nginx: a master and a worker that is bound to a CPU, with a server block
# for each thing to measure.

use warnings;
use strict;

use IO::Socket::INET ();
use List::Util qw(sum);
use POSIX ();

use Bench::Util qw(read_file write_file make_dir wait_for);

# what is started here must not outlive us
my %running;

# new(directory, nginx, CPU of the worker or undef, globals, directives of
# http, workers if not one, which then may run on any CPU)
sub new {
    my ($class, $dir, $nginx, $cpu, $globals, $http, $n) = @_;

    make_dir($dir);

    return bless { dir => $dir, nginx => $nginx, n => $n // 1,
                   cpu => defined $n ? undef : $cpu,
                   globals => $globals, http => $http }, $class;
}

sub worker { $_[0]{workers}[0] }
sub port { $_[0]{ports}{$_[1]} }

# start(name => directives of its server block, ...)
sub start {
    my ($self, %servers) = @_;

    # a port may be taken between our looking and nginx's binding

    for (1 .. 5) {
        $self->_choose_ports(sort keys %servers);
        write_file("$self->{dir}/nginx.conf", $self->_conf(\%servers));
        unlink "$self->{dir}/error.log";

        return if $self->_spawn;

        my $log = $self->_log;
        die "nginx did not start:\n$log" if $log !~ /bind\(\) .* failed \(98/;
    }

    die "no free ports for nginx\n";
}

sub _choose_ports {
    my ($self, @names) = @_;

    # all at once, or the same one would be chosen twice

    my %sockets = map {
        $_ => IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
                                    Proto => 'tcp', Listen => 1)
              || die "no free port: $@\n"
    } @names;

    $self->{ports} = { map { $_ => $sockets{$_}->sockport } @names };
}

sub _conf {
    my ($self, $servers) = @_;
    my $dir = $self->{dir};
    my $user = $> == 0 ? 'user ' . getpwuid($>) . ' '
                         . getgrgid((split ' ', $))[0]) . ';' : '';
    my $affinity = defined $self->{cpu}
        ? 'worker_cpu_affinity 1' . '0' x $self->{cpu} . ';' : '';

    # or one worker might take all connections

    my $reuseport = $self->{n} > 1 ? ' reuseport' : '';

    my $blocks = join "\n", map { <<"END" } sort keys %$servers;
    server {
        listen 127.0.0.1:$self->{ports}{$_}$reuseport;
$servers->{$_}
    }
END

    return <<"END";
$self->{globals}
$user
worker_processes $self->{n};
worker_rlimit_nofile 8192;
$affinity
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log warn;

events {
    worker_connections 1024;
}

http {
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;

$self->{http}
    client_body_temp_path $dir/client_body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;

$blocks
}
END
}

sub _spawn {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/output";
        open STDERR, '>&', \*STDOUT;
        exec $self->{nginx}, '-p', "$dir/", '-c', "$dir/nginx.conf",
             '-e', "$dir/error.log" or POSIX::_exit(127);
    }

    $running{$pid} = $self->{master} = $pid;

    my ($port) = values %{ $self->{ports} };
    my $up = wait_for {
        if (waitpid($pid, POSIX::WNOHANG) == $pid) {
            delete $running{$pid};
            return -1;
        }

        my @workers = grep {
            (read_file("/proc/$_/cmdline") // '') =~ /worker process/
        } split ' ', read_file("/proc/$pid/task/$pid/children") // '';

        $self->{workers} = \@workers;
        return @workers == $self->{n}
               && !!IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                          PeerPort => $port);
    } 20;

    return 1 if $up > 0;
    $self->stop if !$up;
    return 0;
}

sub _log {
    my ($self) = @_;
    return join '', map { read_file("$self->{dir}/$_") // '' }
                    qw(output error.log);
}

# Dies of whatever nginx had to complain of.
sub check {
    my ($self) = @_;
    my $log = $self->_log =~ s/^.*a LuaJIT version which is not OpenRe.*\n//mgr;

    die "nginx logged:\n$log" if $log =~ /\S/;
    die "a worker of nginx is gone\n"
        if grep { !kill 0, $_ } @{ $self->{workers} };
}

# nanoseconds of CPU time that the workers have used
sub cpu_time {
    my ($self) = @_;

    return sum(map { (split ' ', _proc($_, 'schedstat'))[0] }
                   @{ $self->{workers} });
}

# whether the workers wait for something to do
sub sleeps {
    my ($self) = @_;
    return !grep { _proc($_, 'stat') !~ /\) S / } @{ $self->{workers} };
}

sub _proc {
    my ($worker, $file) = @_;

    return read_file("/proc/$worker/$file")
        // die "no /proc/PID/$file: a worker of nginx is gone, or this kernel "
               . "does not count\n";
}

# bytes of memory that are of no file: the worker's own, and nginx's zones
sub anonymous {
    my ($self) = @_;
    my %kilobytes = _proc($self->worker, 'status')
                        =~ /^Rss(Anon|Shmem):\s*(\d+) kB/mg;

    die "no RssAnon of nginx's worker\n" if !defined $kilobytes{Anon};

    return ($kilobytes{Anon} + $kilobytes{Shmem}) * 1024;
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{master} // return;

    return if !delete $running{$pid};

    kill 'QUIT', $pid;

    if (!wait_for { waitpid($pid, POSIX::WNOHANG) == $pid } 10) {
        kill 'KILL', @{ $self->{workers} // [] }, $pid;
        waitpid $pid, 0;
    }
}

END {
    my $status = $?;

    for my $pid (keys %running) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }

    $? = $status;
}

1;
