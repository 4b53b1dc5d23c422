package Exports::Power;

# A machine that loses its power, for tests: what a command writes below
# a directory is recorded, by strace, and any state made again that a crash may
# leave of it.
#
# What was written stays for certain once it was synced: bytes and size of a
# file by fsync, fdatasync or O_DSYNC; its mode and group by fsync; the entries
# of a directory by fsync of the directory.  Of the rest anything may be there,
# in any order, bytes by sectors.  That is what POSIX promises.  "Ordered" file
# systems, with a journal, promise more: names and modes change in order, and
# any sync takes with it what was changed before.

use warnings;
use strict;

use File::Basename ();
use File::Find ();
use File::Path ();
use POSIX ();

my $SECTOR = 512;

my @CALLS = qw(
    openat open creat pwrite64 pwritev pwritev2 write writev ftruncate truncate
    fallocate rename renameat renameat2 link linkat unlink unlinkat mkdir
    mkdirat rmdir symlink symlinkat fsync fdatasync msync sync_file_range sync syncfs
    fchmod chmod fchmodat fchown chown fchownat copy_file_range sendfile lseek
);


# undef, or why nothing can be recorded
sub missing {
    my $why = qx{strace -qq -o /dev/null true 2>&1};
    return $? == 0 ? undef : 'strace: ' . ($why || 'not there');
}


# what is there now is on the disk
sub new {
    my ($class, $t, $root) = @_;
    my $self = bless { t => $t, root => $root, nodes => [], at => {}, ops => [],
                       faults => [] }, $class;

    File::Find::find({ no_chdir => 1, wanted => sub {
        my @st = lstat $_;
        my $node = $self->_node(-l _ ? 'l' : -d _ ? 'd' : 'f', $st[2] & 07777,
                                $st[5]);
        $self->{at}{$_} = $node;
        $node->{bytes} = readlink $_ if -l _;
        $node->{bytes} = $t->read_file($_) if -f _;
        $self->{at}{ File::Basename::dirname($_) }{entries}
            { File::Basename::basename($_) } = $node if $_ ne $root;
    } }, $root);

    return $self;
}

sub _node {
    my ($self, $type, $mode, $gid) = @_;
    my $node = { id => scalar @{ $self->{nodes} }, type => $type, mode => $mode,
                 gid => $gid, bytes => '', entries => {} };
    push @{ $self->{nodes} }, $node;
    return $node;
}


# ---- recording -------------------------------------------------------------

# Runs exportsctl: (exit, stdout, stderr).  What it writes comes behind what was
# recorded before.  { strace => [...] } are options of strace's.
sub ctl {
    my ($self, @args) = @_;
    return $self->command($self->{t}{ctl}, @args);
}

sub command {
    my ($self, @command) = @_;
    my $o = ref $command[-1] eq 'HASH' ? pop @command : {};
    my $log = $self->{t}->path("strace.$$");

    my @result = $self->{t}->_exec($o, 'strace', '-f', '-qq', '-y', '-xx',
        '-s', 1 << 26, '-o', $log, '-e', 'trace=' . join(',', @CALLS), '-e',
        'signal=none', @{ $o->{strace} // [] }, @command);

    $self->{$_} = {} for qw(fds places);
    my %begun;
    open my $fh, '<', $log or die "$log: $!";

    while (<$fh>) {
        chomp;
        my ($pid, $text) = /^(\d+)\s+(.*)$/ or next;

        if ($text =~ s/ ?<unfinished \.\.\.>$//) {
            $begun{$pid} = $text;
            next;
        }

        $text = delete($begun{$pid}) . $1
            if $text =~ /^<\.\.\. \w+ resumed>(.*)$/ && defined $begun{$pid};

        $self->_call($1, $2, $3, $4)
            if $text =~ /^(\w+)\((.*)\)\s+= (-?\d+)(?:<([^>]*)>)?/ && $3 >= 0;
    }

    close $fh;
    unlink $log;
    push @{ $self->{ops} }, { kind => 'done', command => \@command };

    return @result;
}

sub _unhex {
    my ($text) = @_;
    $text =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
    return $text;
}

# as the kernel would: what names lead to by symlinks is not used
sub _clean {
    my ($path, $cwd) = @_;
    $path = "$cwd/$path" if $path !~ m{^/};
    1 while $path =~ s{/\.?(?=/|\z)}{} || $path =~ s{/[^/]+/\.\.(?=/|\z)}{};
    return $path;
}

sub _call {
    my ($self, $call, $args, $result, $to) = @_;

    my @strings = map { _unhex($_) } $args =~ /"((?:\\x[0-9a-f]{2})*)"/g;
    my ($fd, $path) = $args =~ /^(\d+)<([^>]*)>/;
    my ($cwd) = $args =~ /AT_FDCWD<([^>]*)>/;
    $cwd = _unhex($cwd // '');
    $path = _unhex($path) if defined $path;
    (my $rest = $args) =~ s/"[^"]*"/""/g;
    my @numbers = $rest =~ /, (0?\d+)(?=,|$)/g;

    # what has no descriptor of a directory was given a whole path

    my @paths = map { _clean($_, $cwd) } @strings;

    if ($call =~ /^(?:open|openat|creat)$/) {
        my $p = _unhex($to // '');
        return if !$self->_below($p);
        $self->{places}{$result} = 0;
        $self->{fds}{$result} = $rest =~ /\bO_D?SYNC\b/;

        if ($rest =~ /O_CREAT/ && !$self->{at}{$p}) {
            my $mode = oct(($rest =~ /, (0\d+)$/)[0]) & ~umask;
            my $node = $self->_node('f', $mode, $self->_group($p));
            $self->_entry([$p, $node]);
        }

        $self->_op(size => $self->{at}{$p}, size => 0) if $rest =~ /O_TRUNC/;
        return;
    }

    if ($call =~ /^(?:mkdir|symlink)/) {
        my $p = $paths[-1];
        return if !$self->_below($p);
        my $node = $self->_node($call =~ /^mkdir/ ? 'd' : 'l',
                                $call =~ /^mkdir/ ? oct(($rest =~ /(0\d+)$/)[0])
                                                    & ~umask : 0777,
                                $self->_group($p));
        $node->{bytes} = $strings[0] if $node->{type} eq 'l';
        return $self->_entry([$p, $node]);
    }

    if ($call =~ /^rename/) {
        return if !$self->_below($paths[1]);
        my ($from, $into) = @paths;
        my $node = $self->{at}{$from} or die "$from: not known";
        my @below = grep { index($_, "$from/") == 0 } keys %{ $self->{at} };
        $self->_entry([$from, undef], [$into, $node]);
        $self->{at}{ $into . substr $_, length $from } = delete $self->{at}{$_}
            for @below;
        return;
    }

    if ($call =~ /^(?:unlink|rmdir)/) {
        return $self->_below($paths[0]) ? $self->_entry([$paths[0], undef]) : 0;
    }

    if ($call =~ /^link/) {
        return if !$self->_below($paths[1]);
        return $self->_entry([$paths[1], $self->{at}{ $paths[0] }]);
    }

    return push @{ $self->{ops} }, { kind => 'sync', everything => 1 }
        if $call eq 'sync' || $call eq 'syncfs';

    $path //= $paths[0];
    return if !defined $path || !$self->_below($path);

    my $node = $self->{at}{$path};

    if (!$node) {
        push @{ $self->{faults} }, "$call: $path is not known";
        return;
    }

    if ($call eq 'lseek') {
        $self->{places}{$fd} = $result;
    } elsif ($call =~ /write/) {
        my $bytes = substr join('', @strings), 0, $result;
        my $at = $call =~ /^pwrite/ ? $numbers[-1]
                                    : $self->{places}{$fd} // 0;
        $self->{places}{$fd} = $at + $result if $call =~ /^write/;
        $self->_op('data', $node, at => $at, bytes => $bytes);
        $self->_op('sync', $node, last => 1) if $self->{fds}{$fd};
    } elsif ($call eq 'ftruncate' || $call eq 'truncate') {
        $self->_op('size', $node, size => $numbers[-1]);
    } elsif ($call eq 'fallocate') {
        my ($at, $len) = @numbers[-2, -1];
        $self->_op('grow', $node, size => $at + $len) if $rest !~ /KEEP_SIZE/;
    } elsif ($call =~ /chmod/) {
        $self->_op('mode', $node,
                   mode => oct(($rest =~ /(0\d+)(?:, \w+)?$/)[0]));
    } elsif ($call =~ /chown/) {
        $self->_op('mode', $node, gid => $numbers[-1]) if $rest =~ /, \d+$/;
    } elsif ($call =~ /^f(?:data)?sync$/) {
        $self->_op('sync', $node, data => $call eq 'fdatasync');
    } else {
        push @{ $self->{faults} }, "$call is not known: $path";
    }
}

sub _below { index($_[1], "$_[0]{root}/") == 0 || $_[1] eq $_[0]{root} }

sub _op {
    my ($self, $kind, $node, %o) = @_;
    push @{ $self->{ops} }, { kind => $kind, node => $node, %o };
}

# that of what is new
sub _group {
    my ($self, $path) = @_;
    my $dir = $self->{at}{ File::Basename::dirname($path) }
              or die "$path: its directory is not known";
    my @changes = grep { $_->{kind} eq 'mode' && $_->{node} == $dir }
                  @{ $self->{ops} };
    my ($mode) = (map({ $_->{mode} // () } reverse @changes), $dir->{mode});
    my ($gid) = (map({ $_->{gid} // () } reverse @changes), $dir->{gid});
    return $mode & 02000 ? $gid : $) + 0;
}

sub _entry {
    my ($self, @changes) = @_;
    my @made;

    for my $change (@changes) {
        my ($path, $node) = @$change;
        my $dir = $self->{at}{ File::Basename::dirname($path) }
                  or die "$path: its directory is not known";
        push @made, [$dir, File::Basename::basename($path), $node];
        if ($node) { $self->{at}{$path} = $node }
        else { delete $self->{at}{$path} }
    }

    push @{ $self->{ops} }, { kind => 'entry', changes => \@made,
                              node => $made[-1][0] };
}


# ---- replaying -------------------------------------------------------------

sub ops { @{ $_[0]{ops} } }

sub _is_name { $_[0]{kind} eq 'entry' || $_[0]{kind} eq 'mode' }

# those that may be lost if the power fails before the op of that number
sub pending {
    my ($self, $cut, $ordered) = @_;
    my @ops = @{ $self->{ops} }[0 .. $cut - 1];
    my %pending;

    for my $i (0 .. $#ops) {
        my $op = $ops[$i];
        next if $op->{kind} eq 'done';

        if ($op->{kind} ne 'sync') {
            $pending{$i} = $op;
            next;
        }

        # what O_DSYNC wrote is there, and what was written before is not

        if ($op->{last}) {
            delete $pending{$i - 1};
            delete @pending{ grep { _is_name($pending{$_}) } keys %pending }
                if $ordered;
            next;
        }

        for my $j (keys %pending) {
            my $p = $pending{$j};
            delete $pending{$j}
                if $op->{everything}
                   || $p->{node} == $op->{node}
                      && !($op->{data} && $p->{kind} eq 'mode')
                   || $ordered && _is_name($p);
        }
    }

    return \%pending;
}

# Makes the state: "lose" says of an op that may be lost which part of it is
# kept: 1 all, 0 nothing, 'zero' its size only, or a sub that is asked for each
# sector.
sub make {
    my ($self, $cut, $pending, $lose, $to) = @_;
    my (%state, %entries);

    for my $node (@{ $self->{nodes} }) {
        $state{ $node->{id} } = { %$node{qw(mode gid bytes)},
                                  entries => { %{ $node->{entries} } } };
    }

    for my $i (0 .. $cut - 1) {
        my $op = $self->{ops}[$i];
        my $kept = $pending->{$i} ? $lose->($i, $op) : 1;
        next if !$kept || $op->{kind} eq 'sync' || $op->{kind} eq 'done';

        if ($op->{kind} eq 'entry') {
            for my $change (@{ $op->{changes} }) {
                my ($dir, $name, $node) = @$change;
                my $entries = $state{ $dir->{id} }{entries};
                if ($node) { $entries->{$name} = $node }
                else { delete $entries->{$name} }
            }
            next;
        }

        my $s = $state{ $op->{node}{id} };

        if ($op->{kind} eq 'mode') {
            $s->{mode} = $op->{mode} if defined $op->{mode};
            $s->{gid} = $op->{gid} if defined $op->{gid};
            next;
        }

        my $end = $op->{kind} eq 'data' ? $op->{at} + length $op->{bytes}
                                        : $op->{size};
        my $grow = $end - length $s->{bytes};
        substr($s->{bytes}, $end) = ''
            if $op->{kind} eq 'size' && $grow < 0 && !ref $kept;
        $s->{bytes} .= "\0" x $grow if $grow > 0;

        next if $op->{kind} ne 'data' || $kept eq 'zero';

        if (!ref $kept) {
            substr($s->{bytes}, $op->{at}, length $op->{bytes}) = $op->{bytes};
            next;
        }

        for (my $at = $op->{at}; $at < $end; ) {
            my $next = (POSIX::floor($at / $SECTOR) + 1) * $SECTOR;
            $next = $end if $next > $end;
            substr($s->{bytes}, $at, $next - $at)
                = substr($op->{bytes}, $at - $op->{at}, $next - $at)
                if $kept->($at);
            $at = $next;
        }
    }

    File::Path::remove_tree($to);
    $self->_write(\%state, $self->{at}{ $self->{root} }, $to);
}

sub _write {
    my ($self, $state, $node, $to) = @_;
    my $s = $state->{ $node->{id} };

    if ($node->{type} eq 'l') {
        symlink $s->{bytes}, $to or die "$to: $!";
        return;
    }

    if ($node->{type} eq 'f') {
        $self->{t}->write_file($to, $s->{bytes});
    } else {
        mkdir $to or die "$to: $!";
        $self->_write($state, $s->{entries}{$_}, "$to/$_")
            for sort keys %{ $s->{entries} };
    }

    chown -1, $s->{gid}, $to or die "$to: $!";
    chmod $s->{mode}, $to or die "$to: $!";
}

# Asks about states, made at a path: of all that can be, as many as "most" by
# chance.  check($op) gets how many ops there were before the power failed, and
# returns what is wrong, if anything is.  Returns the faults, and the count.
sub look {
    my ($self, $to, $most, $random, $check) = @_;
    my (@states, %faults);

    return ({ map { $_ => 1 } @{ $self->{faults} } }, 0)
        if @{ $self->{faults} };

    for my $ordered (0, 1) {
        for my $cut (0 .. $self->ops) {
            my $pending = $self->pending($cut, $ordered);
            my $ways = _ways($pending, $ordered, $random);
            push @states, map { [$cut, $pending, $ways->{$_},
                                 ($ordered ? 'ordered' : 'any order')
                                 . ", lost: $_"] } sort keys %$ways;
        }
    }

    for (my $i = 0; $i < @states && $i < $most; $i++) {
        my $j = $most < @states ? $i + int rand(@states - $i) : $i;
        @states[$i, $j] = @states[$j, $i];
        my ($cut, $pending, $way, $name) = @{ $states[$i] };

        $self->make($cut, $pending, $way, $to);
        my $fault = $check->($cut) // next;
        $faults{$fault} //= "before op $cut, $name";
    }

    File::Path::remove_tree($to);
    return (\%faults, $most < @states ? $most : scalar @states);
}

# The ways to lose what may be lost: by name, each a sub for make().
sub _ways {
    my ($pending, $ordered, $random) = @_;
    my @i = sort { $a <=> $b } keys %$pending;
    my %way = (all => sub { 0 });

    return \%way if !@i;

    # names in order: up to one of them

    my @names = grep { _is_name($pending->{$_}) } @i;
    my $upto = sub {
        my ($way) = @_;
        return $way if !$ordered || !@names;
        my $last = (-1, @names)[rand @names + 1];
        return sub { _is_name($_[1]) ? $_[0] <= $last : $way->(@_) };
    };

    my ($one, $first, $last) = ($i[rand @i], $i[0], $i[-1]);
    my @data = grep { $pending->{$_}{kind} eq 'data' } @i;
    my $meta = sub { $_[1]{kind} eq 'data' && length $_[1]{bytes} < 512
                     && $_[1]{at} < 8192 };

    $way{none} = sub { 1 };
    $way{"all but the last"} = $upto->(sub { $_[0] == $last });
    $way{"all but the first"} = $upto->(sub { $_[0] == $first });
    $way{"all but $one"} = $upto->(sub { $_[0] == $one });
    $way{"only the last"} = $upto->(sub { $_[0] != $last });
    $way{"only the first"} = $upto->(sub { $_[0] != $first });
    $way{"only $one"} = $upto->(sub { $_[0] != $one });
    $way{"data"} = $upto->(sub { $_[1]{kind} ne 'data' });
    $way{"names"} = $upto->(sub { !_is_name($_[1]) });
    $way{"all but sizes"} = $upto->(sub { $_[1]{kind} eq 'data' ? 'zero' : 1 });
    $way{"all but metas"} = $upto->($meta);
    $way{"only metas"} = $upto->(sub { !$meta->(@_) });

    for my $n (1 .. $random) {
        my $s = int rand 1 << 30;
        my $likely = rand;
        my $pick = sub { (($_[0] + 1) * 2654435761 + $s * 40503) % 1009 / 1009
                         < $likely };
        $way{"random $s"} = $upto->(sub { $pick->($_[0]) });
        $way{"torn $s"} = $upto->(sub {
            my ($i, $op) = @_;
            return $pick->($i) if $op->{kind} ne 'data';
            return sub { $pick->($i * 7919 + int $_[0] / $SECTOR) };
        });
    }

    return \%way;
}

1;
