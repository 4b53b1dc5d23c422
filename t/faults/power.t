# The power fails at any moment: what was reported as done is there, of the rest
# one commit or none, whole; what has its name is whole; and the next command
# goes on.  Nothing is switched off: what a command writes is recorded, and the
# states that a crash may leave are made of that.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Power;
use Exports::Test;

# states of each recording, and of them ways by chance at each moment
my $STATES = strength(60, 1e9);
my $RANDOM = strength(2, 4);

my $missing = Exports::Power::missing();
plan skip_all => $missing if defined $missing;
plan tests => 10;

my $seed = $ENV{POWER_SEED} // time ^ $$;
note "POWER_SEED=$seed";
srand $seed;

my $t = Exports::Test->new;
my $crash = $t->path('crash');
my $gid = $t->user ? (getpwnam $t->user)[3] : $) + 0;

sub lines {
    my ($name, $n, %o) = @_;
    return map { project_line(project => 'demo', id => "exp_${name}_$_", %o) }
               1 .. $n;
}

sub text { join "\n", @_, '' }

sub root {
    my $root = $t->path("root.$_[0]");
    mkdir $root or die "$root: $!";
    return $root;
}

# records a command that succeeds; returns its output
sub done {
    my ($power, @args) = @_;
    my ($exit, $out, $err) = $power->ctl(@args);
    die "exportsctl @args[0, 1]: $exit\n$err" if $exit != 0;
    return $out;
}

# (what is wrong with a store, the number of its commit, all it has)
sub look {
    my ($store) = @_;

    for my $command ('stat', 'verify') {
        my ($exit, $out, $err) = $t->ctl($command, $store);
        return "$command: $out$err" if $exit != 0;
    }

    my ($exit, $out, $err) = $t->ctl('export', '--tokens', $store);
    return "export: $err" if $exit != 0;

    return (undef, json($t->ctl_ok('stat', $store, '--json'))->{txnid}, $out);
}

# what is not as "init --group" and "backup" make it
sub modes {
    my ($store) = @_;
    my %mode = ('' => 02770, '/data.mdb' => 0640, '/lock.mdb' => 0660);

    for my $file (sort keys %mode) {
        my @st = stat "$store$file" or next;
        my ($is, $ought) = ($st[2] & 07777, $mode{$file});
        return sprintf 'store%s is %o %d', $file, $is, $st[5]
            if $is != $ought || $st[5] != $gid;
    }

    return undef;
}

sub holds {
    my ($name, $power, $check) = @_;
    my ($faults, $n) = $power->look($crash, $STATES, $RANDOM, sub {
        my $fault = $check->(@_) // return undef;
        $fault =~ s/\Q$crash//g;
        return $fault;
    });

    note "$name: $n states";
    is_deeply $faults, {}, $name;
}


# ---- commits ---------------------------------------------------------------

# Of each commit: (when its meta page was written, its number), and from when on
# it has to be there: when its command has ended, or the next one is written.
sub commits {
    my ($power) = @_;
    my (@written, @durable);
    my @ops = $power->ops;

    for my $i (0 .. $#ops) {
        my $op = $ops[$i];

        if ($op->{kind} eq 'data' && length $op->{bytes} < 512) {
            my $n = unpack 'Q', substr $op->{bytes}, -8;
            push @written, [$i, $n];
            push @durable, [$i, $n - 1];
        }

        push @durable, [$i, $written[-1][1]]
            if $op->{kind} eq 'done' && @written;
    }

    return (\@written, \@durable);
}

sub of_commits {
    my ($name, $power) = @_;
    my ($first) = (look("$power->{root}.before/s"))[1];
    my ($written, $durable) = commits($power);
    my (%has, @all);

    for my $cut (0, map { $_->[0] + 1 } @$written) {
        $power->make($cut, {}, sub { 1 }, $crash);
        my ($fault, $n, $all) = look("$crash/s");
        die "$name: $fault" if defined $fault;
        $has{$n} = $all;
    }

    holds $name, $power, sub {
        my ($cut) = @_;
        my ($least) = map { $_->[1] } grep { $_->[0] < $cut } reverse @$durable;
        my ($most) = map { $_->[1] } grep { $_->[0] < $cut } reverse @$written;
        my ($fault, $n, $all) = look("$crash/s");

        return $fault if defined $fault;
        $_ //= $first for $least, $most;
        return "commit $n is there, of $least to $most"
            if $n < $least || $n > $most;
        return "commit $n has other contents" if $all ne ($has{$n} // '');
        return undef;
    };
}

# a store with some manifests, and a recording of what comes then
sub recorded {
    my ($name) = @_;
    my $root = root($name);

    $t->ctl_ok('init', "$root/s");
    $t->load("$root/s", lines('old', 40));
    system('cp', '-r', $root, "$root.before") == 0 or die "cp: $?";

    return Exports::Power->new($t, $root);
}

{
    my $power = recorded('writes');
    my $store = "$power->{root}/s";

    done($power, 'import', '--batch', 10, $store, '-',
         { stdin => text(lines('new', 25), lines('old', 15, table => 'b')) });
    done($power, 'put', $store, '-', { stdin => lines('put', 1) });
    done($power, 'delete', '--project', 'demo', $store,
         qw(exp_old_7 exp_put_1));
    my ($id) = done($power, 'token', 'create', '--project', 'demo', $store)
               =~ /token ID: (\S+)/;
    done($power, 'token', 'import', $store, '-',
         { stdin => text(token_line('pat_a', project => 'demo')) });
    done($power, 'token', 'revoke', $store, $id);

    of_commits 'what was committed is there, and one more or none', $power;
}

{
    my $power = recorded('nometasync');
    my $store = "$power->{root}/s";
    my @fast = ('--durability', 'nometasync');

    done($power, 'import', @fast, '--batch', 5, $store, '-',
         { stdin => text(lines('new', 20)) });
    done($power, 'put', $store, '-', { stdin => lines('put', 1) });
    done($power, 'import', @fast, '--batch', 3, $store, '-',
         { stdin => text(lines('old', 8, table => 'other')) });

    of_commits 'nometasync: the last commit may be lost before the end, no other', $power;
}

{
    my $power = recorded('sweep');
    my $store = "$power->{root}/s";
    mkdir $t->path('files') or die "mkdir: $!";

    done($power, 'sweep', '--root', $t->path('files'), $store);
    $t->write_file("files/exp_old_$_", 'x') for 1 .. 20;
    done($power, 'sweep', '--root', $t->path('files'), $store);

    of_commits 'sweeps: the same', $power;
}

{
    my $root = root('repair');
    my $store = "$root/s";

    $t->ctl_ok('init', $store);
    $t->load($store, lines('old', 40));
    $t->damage($store, 'exp_old_17"', 'exp_old_1X"');

    my @before = $t->ctl('verify', $store);
    my $power = Exports::Power->new($t, $root);
    $power->ctl('verify', '--repair', $store);
    my $mended = $t->ctl_ok('export', $store);
    my $done = $power->ops;

    holds 'verify --repair: all of it, or nothing', $power, sub {
        my ($cut) = @_;
        my ($exit, $out) = $t->ctl('verify', "$crash/s");
        return $cut >= $done ? 'not repaired'
               : $out ne $before[1] ? $out : undef if $exit != 0;
        return $t->ctl_ok('export', "$crash/s") ne $mended ? 'other' : undef;
    };
}


# ---- names -----------------------------------------------------------------

# after init has ended the store is there, as it was made; with put, too
sub made {
    my ($name, $power, $ended) = @_;
    my $store = "$power->{root}/s";

    my $put = $power->ops;
    done($power, 'put', $store, '-', { stdin => lines('put', 1) });
    my $done = $power->ops;

    holds $name, $power, sub {
        my ($cut) = @_;
        return undef if $cut < $ended;
        my ($fault, undef, $all) = look("$crash/s");
        return $fault if defined $fault;
        return 'put is lost' if $cut >= $done && $all !~ /exp_put_1/;
        return modes("$crash/s");
    };
}

{
    my $umask = umask 077;
    my $root = root('init');
    chown -1, $gid, $root or die "chown: $!";
    my $power = Exports::Power->new($t, $root);

    done($power, 'init', '--group', $gid, "$root/s");
    my $syncs = grep { $_->{kind} eq 'sync' && !$_->{last} && !$_->{data} }
                $power->ops;
    made('init: the store is there, for the group', $power, scalar $power->ops);

    # it fails where it is almost done, and is run again

    $root = root('again');
    $power = Exports::Power->new($t, $root);

    my ($exit) = $power->ctl('init', '--group', $gid, "$root/s",
                 { strace => ['-e', "inject=fsync:error=EIO:when=$syncs"] });
    is $exit, 1, 'init: a directory that cannot be synced';
    done($power, 'init', "$root/s");
    made('init, again: it is there', $power, scalar $power->ops);
    umask $umask;
}

{
    my $root = root('backup');
    my $store = "$root/s";

    $t->ctl_ok('init', '--group', $gid, $store);
    $t->load($store, lines('old', 40));

    my $all = $t->ctl_ok('export', $store);
    my $power = Exports::Power->new($t, $root);
    done($power, 'backup', $store, "$root/copy");
    my $done = $power->ops;

    holds 'backup: under its name it is whole, with its files', $power, sub {
        my ($cut) = @_;
        my $copy = "$crash/copy";

        return 'the store is damaged'
            if $t->ctl_ok('export', "$crash/s") ne $all;
        return $cut >= $done ? 'it is not there' : undef if !-e $copy;
        return 'it has no lock file' if !-e "$copy/lock.mdb";
        my $modes = modes($copy);
        my ($fault, undef, $has) = look($copy);
        return $fault // $modes // ($has eq $all ? undef : 'other contents');
    };
}


# ---- a swap ----------------------------------------------------------------

# as the README has it: what is written after it is there by the same path

{
    my $root = root('swap');

    $t->ctl_ok('init', "$root/1");
    $t->load("$root/1", lines('old', 5));
    symlink '1', "$root/current" or die "symlink: $!";
    $t->ctl_ok('backup', "$root/1", "$root/2");
    my $power = Exports::Power->new($t, $root);

    for my $command (['ln', '-s', '2', "$root/next"],
                     ['mv', '-T', "$root/next", "$root/current"],
                     ['sync', $root])
    {
        my ($exit, undef, $err) = $power->command(@$command);
        die "@$command: $err" if $exit != 0;
    }

    done($power, 'put', "$root/current", '-', { stdin => lines('put', 1) });
    my $done = $power->ops;

    holds 'a swap, synced: what was put then is there', $power, sub {
        my ($cut) = @_;
        my ($fault, undef, $has) = look("$crash/current");
        return $fault // ($cut >= $done && $has !~ /exp_put_1/ ? 'it is lost'
                                                               : undef);
    };
}

$t->done;
