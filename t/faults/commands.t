# exportsctl with damaged stores: every command ends by itself, with a message,
# within seconds of processor time, and leaves no write lock behind.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;

use Exports::Faults;
use Exports::Test;

my $N = strength(25, 400);
my $seed = $ENV{CORRUPT_SEED} // 100;

# s of processor time: a loop is left after 5
my $LIMIT = 9;

my $t = Exports::Test->new;

my $line = project_line(project => 'demo1', id => 'exp_new');

my @commands = (
    ['stat', 'S'], ['verify', 'S'], ['export', 'S', '--tokens'],
    ['list', 'S', '--project', 'demo1'],
    ['get', 'S', '--project', 'demo1', 'exp_4'], ['token', 'list', 'S'],
    ['backup', 'S', 'copy'], ['init', 'S'], ['put', 'S', '-'],
    ['delete', 'S', '--project', 'demo2', 'exp_5'], ['import', 'S', '-'],
    ['token', 'create', 'S', '--project', 'demo0'],
    ['sweep', 'S', '--root', $t->dir], ['verify', '--repair', 'S'],
    ['verify', '--json', 'S'],
);

# that all go on forever in a loop costs seconds each

my @looping = @commands[0 .. strength(0, $#commands)];

my @slow = strength(0, 1) ? (['export', 'S'], ['sweep', 'S', '--root', 'R'],
                           ['delete', 'S', '--project', 'demo1', 'exp_1'])
                          : ();

plan tests => @looping + @slow + 15;

my $good = $t->store('good', map { project_line(
    project => 'demo' . $_ % 3, id => "exp_$_", download_name => 'x' x (1 + $_ % 89),
    created_at => stamp(1_700_000_000_000_000 + $_ % 400)) } 1 .. 900);
$t->token($good, project => "demo$_") for 0 .. 2;
$t->ctl_ok('backup', $good, $t->path('compact'));

my $data = $t->read_file('compact/data.mdb');
my $bad = $t->path('bad');
my $copy = $t->path('copy');

sub clear {
    unlink glob "$_/*" for $bad, $copy;
    rmdir $_ for $bad, $copy;
}

# Runs a command with a store that is made of the text of a data file.
sub try {
    my ($text, @command) = @_;
    mkdir $bad;
    $t->write_file("$bad/data.mdb", $text) if defined $text;

    my @args = map { $_ eq 'S' ? $bad : $_ eq 'copy' ? $copy : $_ } @command;

    return $t->_exec({ stdin => "$line\n", before => \&hide_signals }, 'sh', '-c',
                     "ulimit -t $LIMIT; exec \"\$0\" \"\$@\"", $t->{ctl}, @args);
}

# As who starts a command may have them: a timer's signal ignored, faults blocked.
sub hide_signals {
    $SIG{VTALRM} = 'IGNORE';
    POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(
        POSIX::SIGBUS(), POSIX::SIGSEGV(), POSIX::SIGABRT()));
}

# by a signal, or silent, or neither 0 nor 1, or half an object of JSON
sub faults_of {
    my ($exit, $out, $err) = @_;

    return "died of signal ${\-$exit}: $err" if $exit < 0;
    return "exit $exit: $err" if $exit > 1;
    return 'silent' if $exit == 1 && $err !~ /^exportsctl: \S/m && $out eq '';
    return "not JSON: $out" if $out =~ /^\{"faults"/ && !eval { json($out) };
    return;
}


# ---- crafted ---------------------------------------------------------------

for my $command (@looping) {
    my ($exit, undef, $err) = try(endless($data), @$command);
    like "$exit: $err", qr/^1: exportsctl: [^\n]*the store is damaged/,
         "an endless loop: @$command";
    clear();
}

my @asserted = grep { my ($exit, undef, $err) = try(one_key($data), @$_);
                      clear();
                      $exit != 1 || $err !~ /the store is damaged/ } @commands;
ok !@asserted, 'an assertion while opening' or diag map { "@$_\n" } @asserted;


# ---- leaves ----------------------------------------------------------------

# what is in order, but not all there, or not where it belongs

for my $case (['manifests that are lost', lost($data, 'manifests'),
               qr/: there are \d+ manifests, not \d+ as it counts/],
              ['ids in the place of manifests', mislaid($data, 'manifests', 'ids'),
               qr/a manifest \(key [0-9a-f]+\) is left out/])
{
    my ($what, $text, $reason) = @$case;
    my ($exit, $out, $err) = try($text, 'export', 'S');
    my $lines = () = $out =~ /^\{.*\}$/mg;
    ok $exit == 1 && $err =~ $reason && $err =~ /reading the manifests: /
       && $lines > 880 && $lines < 900, "$what: export says so, and goes on"
        or diag "$exit, $lines lines: $err";
    clear();

    ($exit, $out, $err) = try($text, 'verify', 'S');
    ok $exit == 1 && $out =~ /^manifests: \d+ entries, of 900; \d+ are out of order$/m,
       "$what: so does verify" or diag "$exit: $err$out";
    clear();

    ($exit, undef, $err) = try($text, 'verify', '--repair', 'S');
    ok $exit == 1 && $err =~ /: nothing is repaired, .*restore a backup/
       && $t->read_file("$bad/data.mdb") eq $text, "$what: a repair does nothing"
        or diag "$exit: $err";
    clear();

    ($exit, undef, $err) = try($text, 'backup', 'S', 'copy');
    ok $exit == 1 && !-e $copy, "$what: no copy is left" or diag "$exit: $err";
    clear();
}


# ---- random ----------------------------------------------------------------

my (@faults, %exit, @left);

for my $n (1 .. $N) {
    srand $seed + $n - 1;
    my ($kind, $text) = damaged($data);
    my $round = 'CORRUPT_SEED=' . ($seed + $n - 1) . ", $kind";

    for my $command (@commands) {
        my @result = try($text, @$command);
        my $fault = faults_of(@result);

        push @faults, "$round: @$command: $fault" if defined $fault;
        push @left, "$round: @$command" if $result[0] != 0 && -e $copy;
        $exit{ $result[0] }++;
        clear();
    }
}

note explain \%exit;
ok !@faults, "$N damaged stores: each command ends in order"
    or diag map { "$_\n" } @faults[0 .. ($#faults < 9 ? $#faults : 9)];
ok !@left, 'no copy is left behind' or diag map { "$_\n" } @left;
ok $exit{0} && $exit{1}, 'some succeed, some fail';


# ---- no loop ---------------------------------------------------------------

# what has millions of scopes to sort, or files on a file system that searches its
# directories from end to end, or a commit to one that encrypts, takes as long as a
# loop may: here they are a few, slow by a library that is loaded before

if (@slow) {
    my $many = $t->store('many', map { project_line(
        project => "demo$_", id => 'exp_1') } 1 .. 16);

    $t->write_file('slow.c', <<'EOC');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

int fsync(int fd);

typedef int (*compare_pt)(const void *, const void *);
typedef long (*syscall_pt)(long, long, long, long, long, long, long);

/* seconds of processor time, all comparisons together, and all files */
static double  comparing = 7;
static double  looking = 7;

/* of the kernel, mostly */
static double  syncing = 8;

static void
spend(double *left, double seconds, int user)
{
    int      i;
    clock_t  end = clock() + (clock_t) (seconds * CLOCKS_PER_SEC);

    if (*left <= 0) {
        return;
    }

    while (clock() < end) {
        for (i = 0; user && i < 1000000; i++) {
            __asm__ volatile ("");
        }
    }

    *left -= seconds;
}

void
qsort(void *base, size_t n, size_t size, compare_pt compare)
{
    char    *p = base, c;
    size_t   i, j, k;

    for (i = 1; i < n; i++) {
        for (j = i; j > 0; j--) {
            spend(&comparing, 0.25, 1);

            if (compare(p + (j - 1) * size, p + j * size) <= 0) {
                break;
            }

            for (k = 0; k < size; k++) {
                c = p[(j - 1) * size + k];
                p[(j - 1) * size + k] = p[j * size + k];
                p[j * size + k] = c;
            }
        }
    }
}

long
syscall(long number, long a, long b, long c, long d, long e, long f)
{
    static syscall_pt  next;

    if (next == NULL) {
        next = (syscall_pt) dlsym(RTLD_NEXT, "syscall");
    }

    if (number == SYS_openat2) {
        spend(&looking, 0.5, 1);
    }

    return next(number, a, b, c, d, e, f);
}

int
fdatasync(int fd)
{
    spend(&syncing, 8, 0);

    return fsync(fd);
}
EOC

    my $slow = $t->path('slow.so');
    system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O1', '-o', $slow,
           $t->path('slow.c'), '-ldl') == 0 or die "cc: $?";

    for my $command (@slow) {
        my ($exit, $out, $err) = $t->_exec({}, 'env', "LD_PRELOAD=$slow",
            $t->{ctl}, map { { S => $many, R => $t->dir }->{$_} // $_ } @$command);
        is "$exit: $err", '0: ', "slow, but no loop: @$command";
    }
}


# ---- the write lock --------------------------------------------------------

# a writer that meets a loop in the middle of its transaction, and the next one,
# while somebody else has the store open and so keeps the locks

mkdir $bad or die "mkdir: $!";
$t->write_file("$bad/data.mdb", $data);
my $witness = $t->start_ctl('import', $bad, '-');

# it has opened the store when it has read a line (FIONREAD: nothing is left)

print { $witness->{in} } "\n";
wait_for {
    my $left = pack 'i', 0;
    ioctl $witness->{in}, 0x541b, $left or die "ioctl: $!";
    !unpack 'i', $left;
};

my ($exit, undef, $err) = try(endless($data, 'manifests'), 'put', 'S', '-');
like "$exit: $err", qr/^1: exportsctl: put: .* is damaged: other entries of/,
     'a writer does not go where LMDB would not come back from';
($exit, undef, $err) = try($data, 'put', 'S', '-');
is $exit, 0, 'the next writer goes on' or diag $err;
($exit, undef, $err) = $t->finish($witness);
is $exit, 0, 'the witness ends' or diag $err;

# nothing is left running, or in the log: there is no nginx here

$t->_cleanup;
