package Bench::Writer;

# A process that changes one manifest of a store each second while others
# read it, and in the end makes it what it was.

use warnings;
use strict;

use POSIX ();
use Time::HiRes ();

use Bench::Util qw(write_file json execute);

# what is started here must not outlive us
my %running;

# start(exportsctl, store, CPU or undef, file for the manifest, its text)
sub start {
    my ($class, $ctl, $store, $cpu, $file, $text) = @_;
    my @pin = defined $cpu ? ('taskset', '-c', $cpu) : ();
    my $self = bless { ctl => $ctl, store => $store, file => $file,
                       text => $text, pin => \@pin }, $class;

    $self->{first} = $self->_last_commit;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        my $ok = eval { $self->_write(getppid()); 1 };

        print STDERR "bench: $@" if !$ok;
        POSIX::_exit(!$ok);
    }

    $running{$pid} = $self->{pid} = $pid;

    return $self;
}

sub _write {
    my ($self, $parent) = @_;
    my $stop = 0;

    $SIG{$_} = sub { $stop = 1 } for qw(INT TERM HUP);

    for (my $n = 1; !$stop && getppid() == $parent; $n++) {
        my $start = Time::HiRes::time();

        $self->_put($self->{text} =~ s/"size_bytes":\d+/"size_bytes":$n/r);

        my $rest = 1 - (Time::HiRes::time() - $start);
        Time::HiRes::sleep($rest) if $rest > 0 && !$stop;
    }
}

sub _put {
    my ($self, $text) = @_;

    write_file($self->{file}, $text);
    execute(60, @{ $self->{pin} }, $self->{ctl}, 'put', $self->{store},
            $self->{file});
}

sub _last_commit {
    my ($self) = @_;
    my (undef, $text) = execute(60, $self->{ctl}, 'stat', '--json',
                                $self->{store});

    return json($text)->{txnid};
}

# how many commits there were
sub stop {
    my ($self) = @_;
    my $pid = $self->{pid};

    kill 'TERM', $pid;
    waitpid $pid, 0;
    delete $running{$pid};

    my $status = $?;
    my $commits = $self->_last_commit - $self->{first};

    $self->_put($self->{text});
    die "the writer failed\n" if $status || !$commits;

    return $commits;
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
