package Soak::Figures;

# What nginx and the store use, second by second, and whether it grows.

use warnings;
use strict;

use List::Util qw(max min sum0);
use Time::HiRes ();

use Exports::Test;


# steady and reloaded: the servers; store: its path; kept: KB that a worker
# fills with pages until it has as many as it may
sub new {
    my ($class, %o) = @_;
    return bless { %o, samples => [], began => Time::HiRes::time(),
                   pinned => 0 }, $class;
}

sub status {
    my ($t, $pid, $name) = @_;
    return ($t->read_file("/proc/$pid/status") =~ /^$name:\s+(\d+)/m)[0] // 0;
}

# the processes with a slot in lock.mdb, behind a header of two cache lines
sub slots {
    my ($self) = @_;
    my $lock = $self->{steady}->read_file("$self->{store}/lock.mdb");
    my @pids;

    for (my $at = 128; $at + 64 <= length $lock; $at += 64) {
        my $pid = unpack 'l', substr $lock, $at + 8, 4;
        push @pids, $pid if $pid;
    }

    return @pids;
}

sub free_pages {
    my ($self) = @_;
    my $stat = json($self->{steady}->ctl_ok('stat', $self->{store}, '--json'));
    return @$stat{qw(pages_used pages_free txnid)};
}

sub sample {
    my ($self) = @_;
    my %s = (at => Time::HiRes::time() - $self->{began});

    for my $name (qw(steady reloaded)) {
        my $t = $self->{$name};
        my @workers = $t->workers;

        $s{"anonymous memory of a $name worker, KB"} =
            max(map { status($t, $_, 'RssAnon') } @workers) // 0;
        $s{"descriptors of a $name worker"} =
            max(map { scalar(() = glob "/proc/$_/fd/*") } @workers) // 0;
        $s{"workers of the $name nginx"} = keys %{ $t->children };
    }

    $s{'anonymous memory of the reloaded master, KB'} =
        status($self->{reloaded}, $self->{reloaded}{pid}, 'RssAnon');
    $s{'descriptors of the reloaded master'} =
        () = glob "/proc/$self->{reloaded}{pid}/fd/*";

    my @slots = $self->slots;
    $s{'reader slots'} = @slots;
    $s{'of processes that are gone'} = grep { !-e "/proc/$_" } @slots;
    $s{'data.mdb, KB'} = int((stat "$self->{store}/data.mdb")[7] / 1024);

    my ($used, $free, $txnid) = $self->free_pages;
    $s{'pages that are not free'} = $used - $free;
    $s{'commits'} = $txnid;

    push @{ $self->{samples} }, \%s;

    return \%s;
}

# a job that has ended: how many commits there were meanwhile, up to the sample
# after it
sub job {
    my ($self, $since) = @_;
    my $n = $self->{samples}[-1]{commits} - $since->{commits};

    $self->{pinned} = max($self->{pinned}, $n);
}

sub names {
    my ($self) = @_;
    return grep { $_ ne 'at' } sort keys %{ $self->{samples}[0] };
}

# the median and the greatest of a part of the time, from 0 to 1
sub part {
    my ($self, $name, $from, $to) = @_;
    my @samples = @{ $self->{samples} };
    my $end = $samples[-1]{at};
    my @values = sort { $a <=> $b }
        map { $_->{$name} }
        grep { $_->{at} >= $from * $end && $_->{at} <= $to * $end } @samples;

    return (0, 0) if !@values;
    return ($values[$#values / 2], $values[-1]);
}

# the first minute, or quarter, and the last
sub table {
    my ($self) = @_;
    my $share = min(0.25, 60 / ($self->{samples}[-1]{at} || 1));
    my $text = sprintf "%-46s %10s %10s %10s %10s\n", '', 'first', 'max',
                       'last', 'max';

    for my $name ($self->names) {
        $text .= sprintf "%-46s %10d %10d %10d %10d\n", $name,
                         $self->part($name, 0, $share),
                         $self->part($name, 1 - $share, 1);
    }

    return $text;
}

# Growth from the second quarter to the last one: what is used first, buffers
# and pages of the store, is there then.  Medians, for a moment proves nothing;
# what may differ from one moment to the next is in the third column.
my @BOUNDS = (
    [qr/^anonymous memory of the/, 1.10, 1024],
    [qr/^anonymous memory of a/, 1.10, 1024, 'kept'],
    [qr/^descriptors of the reloaded master/, 1, 4],
    [qr/^descriptors of a/, 1.5, 16],
    [qr/^reader slots/, 1.5, 6],
    [qr/^pages that are not free/, 1.05, 512],
);

# What a commit frees can be used again when no snapshot from before it is read
# any more; so the file may have, beyond what is in it, the pages of as many
# commits as the longest of the jobs has seen go by. KB.
my $PAGES = 40;             # of a commit, at the most
my $PAGE_KB = 4;

sub store_bound {
    my ($self) = @_;
    my ($live) = $self->part('pages that are not free', 0.75, 1);

    return $PAGE_KB * ($live + 1.25 * $PAGES * $self->{pinned}) + 4096;
}

sub growth {
    my ($self) = @_;
    my ($size) = $self->part('data.mdb, KB', 0.75, 1);
    my $bound = $self->store_bound;
    my @faults;

    push @faults, "data.mdb: $size KB, $bound would be explained"
        if $size > $bound;

    for my $name ($self->names) {
        my ($bound) = grep { $name =~ $_->[0] } @BOUNDS or next;
        my ($before) = $self->part($name, 0.25, 0.5);
        my ($after) = $self->part($name, 0.75, 1);

        push @faults, "$name: from $before to $after"
            if $after > $before * $bound->[1] + $bound->[2]
                        + ($bound->[3] ? $self->{ $bound->[3] } : 0);
    }

    return @faults;
}

1;
