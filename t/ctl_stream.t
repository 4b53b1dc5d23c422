# exportsctl import --stream: what has come is committed when the input pauses,
# and confirmed; lines that come during a commit share the next one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes ();

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

plan tests => @ctls * 41 + 5;

my $n = 0;

sub line { project_line(project => 'demo', id => "exp_$_[0]") . "\n" }

sub count { scalar(() = $t->ctl_ok('export', @_) =~ /\n/g) }

sub start { $t->start_ctl('import', '--stream', @_) }

# what it has confirmed so far
sub confirmed { $t->read_file($_[0]{out}) }

sub said { my ($job, $said) = @_; wait_for { confirmed($job) eq $said } }

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # ---- while the input is open

    my $store = $t->store('stream' . $n++);
    my $job = start($store, '-');

    print { $job->{in} } line(1);
    ok said($job, "committed up to line 1\n"), 'a line is confirmed';
    is count($store), 1, 'it is committed';

    # whoever writes elsewhere need not wait, and no snapshot is kept

    $t->load($store, line('other'));
    is count($store), 2, 'another writer, meanwhile';
    is json($t->ctl_ok('stat', $store, '--json'))->{pages_free} > 0, 1,
       'pages become free';

    # of a line that is not whole, nothing; what is before it is not kept waiting

    print { $job->{in} } line(2), "\n", substr line(3), 0, 20;
    ok said($job, "committed up to line 1\ncommitted up to line 3\n"),
       'two lines, one of them empty, before a part of one';
    is count($store), 3, 'they are committed';

    print { $job->{in} } substr line(3), 20;
    ok wait_for(sub { confirmed($job) =~ /line 4\n\z/ }), 'the rest of it';
    is count($store), 4, 'it is committed';

    print { $job->{in} } line(4) =~ s/\n//r;
    my ($exit, $out, $err) = $t->finish($job);
    is $exit, 0, 'the end of the input: exit';
    is $err, '', 'nothing else is said';
    like $out, qr/^committed up to line 5\nimported 4 manifests .*\n\z/m,
         'a last line without an end, and the summary';
    is count($store), 5, 'it is committed';

    # ---- for programs

    $store = $t->store('stream' . $n++);
    $job = start($store, '-', '--json');

    print { $job->{in} } line(1);
    ok said($job, "{\"committed\":1}\n"), '--json: a line';
    print { $job->{in} } token_line('pat_2', project => 'demo'), "\n";
    ok said($job, "{\"committed\":1}\n{\"committed\":2}\n"), '--json: a token';

    ($exit, $out) = $t->finish($job);
    is $exit, 0, '--json: exit';
    is_deeply json((split /\n/, $out)[2]),
              { lines => 2, manifests => 1, replaced => 0, tokens => 1,
                commits => 2 }, '--json: the summary';

    # ---- lines that come while another writer is at work

    $store = $t->store('stream' . $n++);
    my $first = $t->start_ctl('import', '--atomic', '--batch', 1, $store, '-');

    print { $first->{in} } line('first');
    ok wait_for(sub { $t->lock_owner($store) == $first->{pid} }),
       'another one has the write lock';

    $job = start($store, '-', '--json');
    print { $job->{in} } line($_) for 1 .. 500;
    is confirmed($job), '', 'nothing is confirmed before it is committed';

    is +($t->finish($first))[0], 0, 'the other one ends';
    ok wait_for(sub { confirmed($job) =~ /:500\}\n\z/ }), 'then all is confirmed';

    ($exit, $out) = $t->finish($job);
    is $exit, 0, 'exit';
    cmp_ok json((split /\n/, $out)[-1])->{commits}, '<', 50,
           'they have shared commits';
    is count($store), 501, 'all are there';

    # ---- a bad line

    $store = $t->store('stream' . $n++);
    $job = start($store, '-');

    print { $job->{in} } line(1);
    ok said($job, "committed up to line 1\n"), 'a good line';
    print { $job->{in} } "{}\n";

    ($exit, $out, $err) = $t->finish($job);
    is $exit, 1, 'a bad line: exit';
    is $out, "committed up to line 1\n", 'it is not confirmed';
    like $err, qr/^exportsctl: import: line 2: /, 'which';
    like $err, qr/lines 1-1 are committed, line 2 and after are not$/m,
         'what is committed';
    is count($store), 1, 'the good one is kept';

    # ---- a signal while it waits

    $job = start($store, '-');

    print { $job->{in} } line(2);
    ok said($job, "committed up to line 1\n"), 'before a signal';
    kill 'TERM', $job->{pid};

    ($exit, $out, $err) = $t->finish($job);
    is $exit, 1, 'SIGTERM: exit';
    like $err, qr/lines 1-1 are committed, line 2 and after are not$/m,
         'SIGTERM: what is committed';

    # ---- a signal while nobody has opened the named pipe yet

    my $pipe = $t->path('pipe' . $n++);
    POSIX::mkfifo($pipe, 0600) or die "mkfifo: $!";
    $job = start($store, $pipe);

    wait_for { $t->read_file("/proc/$job->{pid}/maps") =~ /data\.mdb/ };
    kill 'TERM', $job->{pid};

    ($exit, $out, $err) = $t->finish($job);
    is $exit, 1, 'SIGTERM before there is a writer: exit';
    is $err, "exportsctl: import: interrupted\n"
             . "exportsctl: import: nothing is committed\n",
       'SIGTERM before there is a writer: what is committed';

    # ---- nobody hears it

    ($exit, undef, $err) = $t->ctl('import', '--stream', $store, '-',
                                   { unread => 1, stdin => line(3) });
    is $exit, 1, 'nobody reads: exit';
    like $err, qr/^exportsctl: import: lines 1-1 are committed, /,
         'nobody reads: what is committed';
    like $err, qr/^exportsctl: import: standard output: Broken pipe$/m,
         'nobody reads: why';
    is count($store), 3, 'what was committed is kept';

    # ---- from a file, which never pauses

    $store = $t->store('stream' . $n++);
    my $file = $t->write_file('lines' . $n++, join '', map { line($_) } 1 .. 25);

    is $t->ctl_ok('import', '--stream', '--batch', 10, $store, $file),
       "committed up to line 10\ncommitted up to line 20\n"
       . "committed up to line 25\n"
       . "imported 25 manifests (0 replaced) and 0 tokens in 3 commits\n",
       'a file';

    # ---- not with a transaction for all

    ($exit, undef, $err) = $t->ctl('import', '--stream', '--atomic', $store,
                                   $file);
    is $exit, 2, '--atomic: exit';
    like $err, qr/^\Qexportsctl: import: --atomic and --stream exclude/,
         '--atomic: why';
}


# ---- a library that is loaded before -----------------------------------------

# its path; undef: the compiler does not make it
sub library {
    my ($name, $code) = @_;
    my $source = $t->write_file("$name.c", $code);
    my $library = $t->path("$name.so");
    my $failed = system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O1', '-o',
                        $library, $source, '-ldl');

    return $failed ? undef : $library;
}

# Blank lines alone keep the thread that writes busy, but not with the store.
# The clock by which LMDB is found to loop goes a hundred times as fast.

SKIP: {
    my $fast = library('fast', <<'EOC') or skip 'no library', 2;
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/resource.h>
#include <time.h>

int
timer_settime(timer_t timer, int flags, const struct itimerspec *value,
    struct itimerspec *old)
{
    int                (*settime)(timer_t, int, const struct itimerspec *,
                                  struct itimerspec *);
    struct itimerspec    fast = { { 0, 10000000 }, { 0, 10000000 } };

    settime = dlsym(RTLD_NEXT, "timer_settime");

    return settime(timer, flags, &fast, old);
}

int
getrusage(int who, struct rusage *usage)
{
    int    rc;
    int  (*get)(int, struct rusage *);
    long   spent;

    get = dlsym(RTLD_NEXT, "getrusage");
    rc = get(who, usage);

    spent = usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec;
    usage->ru_utime.tv_sec = spent / 10000;
    usage->ru_utime.tv_usec = spent % 10000 * 100;

    return rc;
}
EOC

    $t->use_ctl($ctls[0]);

    my $store = $t->store('stream' . $n++);
    local $ENV{LD_PRELOAD} = $fast;
    my ($exit, undef, $err) = $t->ctl('import', '--stream', '--batch', 1,
                                      $store, '-', { stdin => "\n" x 400_000,
                                                     stdout => '/dev/null' });
    is $exit, 0, 'blank lines for seconds: exit';
    is $err, '', 'they are not taken for a loop in a damaged store';
}

# Long lines, which come in time but are put slowly: there are always more when
# the input pauses.  Their text is bounded, too, to less than that of two
# batches, so memory is.

SKIP: {
    my $slow = library('slow', <<'EOC') or skip 'no library', 2;
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lmdb.h>
#include <unistd.h>

int
mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags)
{
    int  (*put)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *, unsigned);

    put = dlsym(RTLD_NEXT, "mdb_put");
    (void) usleep(3000);

    return put(txn, dbi, key, data, flags);
}
EOC

    my $length = 256 << 10;
    my $store = $t->store('stream' . $n++);
    my $job = do {
        local $ENV{LD_PRELOAD} = $slow;
        start($store, '-');
    };

    for my $id (1 .. 700) {
        my $line = line($id);
        syswrite $job->{in}, ' ' x ($length - length $line) . $line;
        Time::HiRes::usleep(1000);
    }

    my ($exit, $out) = $t->finish($job);
    is $exit, 0, 'long lines that are put slowly: exit';

    my ($last, $most) = (0, 0);

    for my $line ($out =~ /^committed up to line (\d+)$/mg) {
        $most = $line - $last if $line - $last > $most;
        $last = $line;
    }

    cmp_ok $most * $length, '<', 2 * 64 << 20, 'what shares a commit is bounded';
}

$t->done;
