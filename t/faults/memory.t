# Memory comes to an end somewhere: exportsctl says so, and what it has written or
# printed is whole.  An allocation that fails is one of malloc() and the like,
# by a library that is loaded before.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

# of each command so many allocations, by chance
my $TRIES = strength(40, 2000);

my $t = Exports::Test->new;
my $library = $t->path('fail.so');

# glibc's own are called by names that are theirs alone

$t->write_file('fail.c', <<'EOC');
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static unsigned long  n;

static int
fails(void)
{
    char           *text;
    unsigned long   failing;

    text = getenv("FAILING");
    failing = text != NULL ? strtoul(text, NULL, 10) : 0;

    if (__atomic_add_fetch(&n, 1, __ATOMIC_SEQ_CST) != failing) {
        return 0;
    }

    errno = ENOMEM;
    return 1;
}

__attribute__((destructor)) static void
tell(void)
{
    FILE  *f;

    f = getenv("COUNTED") != NULL ? fopen(getenv("COUNTED"), "w") : NULL;

    if (f != NULL) {
        fprintf(f, "%lu", n);
        fclose(f);
    }
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }

void *
calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}
EOC

my $cc = $ENV{CC} // 'cc';
system($cc, '-shared', '-fPIC', '-O1', '-o', $library, $t->path('fail.c')) == 0
    or plan skip_all => "$cc does not make a library";

my $seed = $ENV{TEST_SEED} // time ^ $$;
srand $seed;

my $store = $t->store('store');
$t->load($store, (map { project_line(project => 'demo', id => "exp_$_",
                                     table => "t$_") } 1 .. 20),
         map { user_line(user => 1, uuid => "u-$_") } 1 .. 20);
my ($token) = $t->ctl_ok('token', 'create', $store, '--project', 'demo')
              =~ /(tok_\w+)/;

# with a fault that can be mended, and one that is left out

my $faulty = $t->store('faulty');
$t->load($faulty, map { project_line(project => 'demo', id => "exp_$_") }
                      1 .. 20);
$t->damage($faulty, 'exp_7"', 'exp_X"');

mkdir $t->path('files') or die "mkdir: $!";
$t->write_file("files/exp_$_", 'x') for 1 .. 10;
my $lines = $t->write_file('lines', join "\n",
    (map { project_line(project => 'demo', id => "exp_new_$_") } 1 .. 30), '');

# (name, store, arguments): the store comes where there is an undefined value

my @commands = (
    ['export', $store, 'export', undef],
    ['export --tokens', $store, 'export', '--tokens', undef],
    ['get', $store, 'get', undef, '--project', 'demo', 'exp_1', 'exp_2'],
    ['list --json', $store, 'list', undef, '--project', 'demo', '--json'],
    ['stat --json', $store, 'stat', undef, '--json'],
    ['token list --json', $store, 'token', 'list', undef, '--json'],
    ['verify', $store, 'verify', undef],
    ['import', $store, 'import', undef, $lines],
    ['import --batch', $store, 'import', '--batch', 7, undef, $lines],
    ['token revoke', $store, 'token', 'revoke', undef, $token],
    ['delete', $store, 'delete', undef, '--project', 'demo', 'exp_1'],
    ['sweep', $store, 'sweep', undef, '--root', $t->path('files')],
    ['verify --repair', $faulty, 'verify', '--repair', undef],
);

plan tests => @commands + 2;

# what a store holds, but for times that are those of the change

sub holds {
    my ($store) = @_;
    my ($exit, $out, $err) = $t->ctl('export', '--tokens', $store);
    return join '', sort map { s/"(?:revoked|missing)_at":"[^"]*"/"at":1/r }
                         split /^/, $out;
}

my $copy = $t->path('copy');
my $counted = $t->path('counted');

sub attempt {
    my ($from, $n, @args) = @_;
    system('rm', '-rf', $copy) == 0 && system('cp', '-r', $from, $copy) == 0
        or die "cp: $?";
    local @ENV{'LD_PRELOAD', 'FAILING', 'COUNTED'} = ($library, $n, $counted);
    return $t->ctl(map { $_ // $copy } @args);
}

my $failed = 0;

for (@commands) {
    my ($name, $from, @args) = @$_;
    my ($exit, $out, $err) = attempt($from, 0, @args);
    my ($before, $after) = (holds($from), holds($copy));
    my $parts = $name eq 'import --batch';
    my @faults;

    my $most = $t->read_file('counted');

    for (1 .. $TRIES) {
        my $n = 1 + int rand $most;
        my ($e, $o, $r) = attempt($from, $n, @args);
        my $has = holds($copy);

        s/\Q$copy//g, s/[0-9a-f-]{36}|\d+ bytes|"at":1//g for $o, $out;

        if ($e == $exit && $r eq $err) {
            push @faults, "$n: other output" if $o ne $out && $e == 0;
            push @faults, "$n: other contents" if $has ne $after;
            next;
        }

        $failed++;
        push @faults, "$n: status $e" if $e != 1 && $e != 2;
        push @faults, "$n: nothing is said" if $r eq '';
        push @faults, "$n: neither before nor after"
            if $has ne $before && $has ne $after && !$parts;
        push @faults, "$n: not a JSON line: $_"
            for $parts || $args[0] ne 'export'
                ? () : grep { !eval { json($_) } } grep { /\n/ } split /^/, $o;
    }

    is_deeply \@faults, [], "$name (seed $seed)";
}

cmp_ok $failed, '>', 5 * @commands, 'commands failed for want of memory';

$t->done;
