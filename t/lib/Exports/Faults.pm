package Exports::Faults;

# What the tests in t/faults share: how much of it to do, and clients beside a
# test, each a process of its own, that look at every answer whole.
#
#   EXPORTS_FAULTS  "full": as much as "./run faults" does; default: a sample

use warnings;
use strict;

use Exporter 'import';
use POSIX ();
use Test::More ();
use Time::HiRes ();

use Exports::Test;

our @EXPORT = qw(
    strength in_namespace put_link generation slots damaged endless recounted
    one_key lost mislaid no_faults
);

my @running;


sub strength {
    my ($sample, $full) = @_;
    return ($ENV{EXPORTS_FAULTS} // '') eq 'full' ? $full : $sample;
}

# Starts the test again where it may mount; skips it where that is forbidden.
sub in_namespace {
    return if $ENV{EXPORTS_NAMESPACE};

    Test::More::plan(skip_all => 'only root can mount') if $> != 0;

    my $why = qx{unshare --mount true 2>&1};
    Test::More::plan(skip_all => "no mount namespace: $why") if $? != 0;

    $ENV{EXPORTS_NAMESPACE} = 1;
    exec 'unshare', '--mount', '--propagation', 'private', $^X,
         (map { "-I$_" } @INC), $0, @ARGV or die "unshare: $!";
}

# makes a symlink, or one lead elsewhere, at once
sub put_link {
    my ($t, $to, $link) = @_;

    unlink $t->path("$link.new");
    symlink $to, $t->path("$link.new") or die "symlink: $!";
    rename $t->path("$link.new"), $t->path($link) or die "rename: $!";
}

# A store with exports that carry its name, and as many as no other.
sub generation {
    my ($t, $name, $n, $token) = @_;
    my $path = $t->store($name, map { project_line(
        project => 'demo', id => "exp_${name}_$_",
        created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. $n);

    $t->token($path, project => 'demo', token => $token);

    return $path;
}


# The processes that hold a reader slot: behind the header of lock.mdb, of two
# cache lines, each slot is a line of transaction, process, thread.
sub slots {
    my ($store) = @_;
    open my $fh, '<:raw', "$store/lock.mdb" or return;
    local $/;
    my $lock = <$fh>;
    my @pids;

    for (my $at = 128; $at + 64 <= length $lock; $at += 64) {
        my $pid = unpack 'l', substr $lock, $at + 8, 4;
        push @pids, $pid if $pid;
    }

    return @pids;
}


# ---- damage ----------------------------------------------------------------

my $PAGE = 4096;

# Random damage to the text of a data file: (its kind, the text).
sub damaged {
    my ($data) = @_;
    my $copy = $data;
    my $pages = length($data) / $PAGE;
    my @kinds = (
        ['some bytes' => sub {
            my $n = 1 + int rand 8;
            substr $copy, $_[0] + int rand $PAGE - 8, $n,
                   join '', map { chr rand 256 } 1 .. $n;
        }],
        ['the head of a page' => sub {
            substr $copy, $_[0] + int rand 40, 2, pack 'S', rand 65536;
        }],
        ['another page, or none' => sub {
            substr $copy, $_[0], $PAGE, rand() < 0.5
                ? "\0" x $PAGE
                : substr $data, (2 + int rand $pages - 2) * $PAGE, $PAGE;
        }],
        ['a meta page' => sub {
            substr $copy, int rand 2 * $PAGE, 1, chr rand 256;
        }],
        ['bytes moved' => sub {
            substr $copy, $_[0] + int rand $PAGE, 1, 'x' x (2 + rand 8);
        }],
        ['cut' => sub {
            substr $copy, int rand length $copy, length $copy, '';
        }],
    );
    my ($kind, $harm) = @{ $kinds[rand @kinds] };

    my $times = $kind eq 'cut' ? 1 : 1 + int rand 3;

    for (1 .. $times) {
        $harm->($PAGE * (2 + int rand $pages - 2));
    }

    substr $copy, length $data, length $copy, '' if length $copy > length $data;

    return ($kind, $copy);
}

# the root page of the main database, or of one that it names
sub _root {
    my ($data, $name) = @_;
    my ($root, $newest) = (0, 0);

    for my $meta (0, $PAGE) {
        my ($page, undef, $txn) = unpack 'QQQ', substr $data, $meta + 128, 24;
        ($root, $newest) = ($page, $txn) if $txn >= $newest;
    }

    return $root if !defined $name;

    # the root's number is the last of its record

    return unpack 'Q', substr $data, _record($data, $root, $name) + 40, 8;
}

# where what is stored of a database lies: behind its name
sub _record {
    my ($data, $root, $name) = @_;
    return index($data, $name, $root * $PAGE) + length $name;
}

# changes a page's flags, and where its free space begins
sub _head {
    my ($data, $page, $flags, $lower) = @_;
    substr $data, $page * $PAGE + 10, 4, pack 'SS', $flags, $lower;
    return $data;
}

# LMDB searches it for ever: values of no length, and fewer than no entries
sub endless { _head($_[0], _root(@_), 0x22, 0) }

# the number of entries of a database, of which no page depends; but a root that
# was looked up before is not used any more
sub recounted {
    my ($data, $name) = @_;
    substr $data, _record($data, _root($data), $name) + 32, 8, pack 'Q', 1;
    return $data;
}

# the leaf in the middle of each page on the way
sub _leaf {
    my ($data, $name) = @_;
    my $page = _root($data, $name);

    while (1) {
        my $at = $page * $PAGE;
        my ($flags, $lower) = unpack 'SS', substr $data, $at + 10, 4;
        return $page if !($flags & 1);

        my $node = unpack 'S', substr $data,
                          $at + 16 + 2 * int(($lower - 16) / 4), 2;
        my ($low, $high, $higher) = unpack 'SSS', substr $data, $at + $node, 6;
        $page = $low | $high << 16 | $higher << 32;
    }
}

# a leaf that has lost all nodes but one
sub lost { _head($_[0], _leaf(@_), 0x02, 16 + 2) }

# a leaf in whose place lies the one of another database, but for its number
sub mislaid {
    my ($data, $name, $other) = @_;
    substr $data, _leaf($data, $name) * $PAGE + 8, $PAGE - 8,
           substr $data, _leaf($data, $other) * $PAGE + 8, $PAGE - 8;
    return $data;
}

# an assertion of LMDB's fails: a branch with one entry
sub one_key { _head($_[0], _root(@_), 0x11, 16 + 2) }


# ---- clients ---------------------------------------------------------------

# Exports::Faults->load($t, $clients, sub { ... }): the sub is called again and
# again with a client, until stop().
sub load {
    my ($class, $t, $n, $round) = @_;
    my $self = bless { t => $t, clients => [] }, 'Exports::Faults::Load';

    push @running, $self;

    for my $i (1 .. $n) {
        my $name = 'load.' . @running . ".$i";
        my $client = { rounds => $t->write_file("$name.rounds", "\0" x 8),
                       report => $t->path("$name.report") };

        $client->{pid} = fork // die "fork: $!";
        Exports::Faults::Client->run($t, $i, $client, $round)
            if $client->{pid} == 0;
        push @{ $self->{clients} }, $client;
    }

    $self->rounds(1);

    return $self;
}

# An assertion: what clients report has no fault.
sub no_faults {
    my ($report, $name) = @_;
    my $faults = $report->{faults};

    $name .= " ($report->{answers} answers)";
    return Test::More::ok(!%$faults && $report->{answers} > 0, $name)
        || Test::More::diag(Test::More::explain($report));
}

END {
    my $status = $?;

    # what they have seen may say why it ends here

    for my $load (grep { $$ == $_->{t}{owner} } @running) {
        next if !@{ $load->{clients} };

        my $faults = eval { $load->stop->{faults} } || {};
        Test::More::diag('clients: ', Test::More::explain($faults)) if %$faults;
        $load->kill;
    }

    $? = $status;
}


package Exports::Faults::Load;

use warnings;
use strict;

sub _done {
    my ($self) = @_;
    return map { unpack 'Q', $self->{t}->read_file($_->{rounds}) || "\0" x 8 }
           @{ $self->{clients} };
}

# Waits until each client has ended so many rounds more: with 2, one has begun
# after the call.
sub rounds {
    my ($self, $n) = @_;
    my @goal = map { $_ + $n } $self->_done;

    Exports::Test::wait_for {
        my @done = $self->_done;
        return !grep { $done[$_] < $goal[$_] } 0 .. $#goal;
    } 60 or Test::More::diag('clients do not get on');
}

# Ends the clients: { answers => n, faults => { text => n },
# counts => { name => n } } of all together
sub stop {
    my ($self) = @_;
    my %sum = (answers => 0, faults => {}, counts => {});

    kill 'TERM', map { $_->{pid} } @{ $self->{clients} };

    for my $client (@{ $self->{clients} }) {
        Exports::Test::wait_for {
            waitpid($client->{pid}, POSIX::WNOHANG) != 0 } 60;

        my $text = $self->{t}->read_file($client->{report});
        my $report = $text ne '' ? Exports::Test::json($text)
                                 : { faults => { 'a client has died' => 1 } };

        $sum{answers} += $report->{answers} // 0;
        for my $what (qw(faults counts)) {
            $sum{$what}{$_} += $report->{$what}{$_}
                for keys %{ $report->{$what} || {} };
        }
    }

    $self->kill;

    return \%sum;
}

sub kill {
    my ($self) = @_;

    return if $$ != $self->{t}{owner};
    kill 'KILL', map { $_->{pid} } grep { -e "/proc/$_->{pid}" }
                     @{ $self->{clients} };
    waitpid $_->{pid}, 0 for @{ $self->{clients} };
    $self->{clients} = [];
}


package Exports::Faults::Client;

use warnings;
use strict;

sub run {
    my ($class, $t, $number, $files, $round) = @_;
    my $parent = getppid;
    my $self = bless { t => $t, number => $number, kept => {}, asked => 0,
                       answers => 0, faults => {}, counts => {} }, $class;

    # a signal that is only looked for interrupts no request

    my $stop = POSIX::SigSet->new(POSIX::SIGTERM());
    my $pending = POSIX::SigSet->new;
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), $stop);
    $SIG{INT} = $SIG{HUP} = 'IGNORE';
    srand $number;
    open my $rounds, '+<', $files->{rounds} or POSIX::_exit(1);

    for (my $n = 1; getppid == $parent; $n++) {
        POSIX::sigpending($pending);
        last if $pending->ismember(POSIX::SIGTERM());

        eval { $round->($self); 1 } or $self->fault($@);

        # others have to do with the processors, too
        Time::HiRes::usleep(1000);

        sysseek $rounds, 0, 0;
        syswrite $rounds, pack 'Q', $n;
    }

    eval { $t->write_file($files->{report}, Exports::Test::json_text(
               { map { $_ => $self->{$_} } qw(answers faults counts) })) };
    POSIX::_exit(0);
}

sub count { $_[0]{counts}{$_[1]}++ }

sub fault {
    my ($self, $text) = @_;
    my $faults = $self->{faults};

    $text = substr $text, 0, 1000;
    $faults->{$text}++ if keys %$faults < 10 || $faults->{$text};
}

# Asks on a connection that is kept, every fourth time on a new one and in two
# parts, so that a worker has begun to read.  Only a kept connection may be
# closed instead of an answer, with no byte of one: it was idle for nginx.
sub ask {
    my ($self, $uri, %headers) = @_;
    my $port = delete $headers{port} // '';
    my $lost = delete $headers{lost};
    my $parts = $self->{asked}++ % 4 == 0;
    my $c = $parts ? undef : delete $self->{kept}{$port};
    my $kept = defined $c;

    for (1 .. 2) {
        $c //= $self->{t}->connect($port);

        my $r = eval { $self->_send($c, $parts, $uri, %headers);
                       $c->response('GET') };

        if ($r) {
            $self->{answers}++;
            $self->{kept}{$port} = $c
                if lc($r->header('Connection') // '') ne 'close';
            return $r;
        }

        undef $c;
        last if !$kept || $@ !~ /^no answer: ""/;
        $kept = 0;
        $self->count('idle connections closed');
    }

    $lost ? $self->count('lost') : $self->fault("lost: $uri: $@");
    return;
}

sub _send {
    my ($self, $c, $parts, $uri, %headers) = @_;
    my $text = Exports::Test::request_text('GET', $uri, %headers);

    if ($parts) {
        my $at = 1 + int rand length($text) - 1;
        $c->send(substr $text, 0, $at, '');
        Time::HiRes::usleep(1000 + rand 4000);
    }

    $c->send($text);
}

1;
