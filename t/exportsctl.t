# The command as such: help, usage errors, exit values, the man page.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

# those that --help lists: a new one is tested like the others
my @commands = ($t->ctl('--help'))[1] =~ /^  ([a-z]+(?: [a-z]+)?) +[A-Z]/mg;

# what is no proper call: exit 2, a message, a hint
my @usage = (
    [], [''], ['nothing'], ['--nothing'], ['-h'], ['-x'], ['--help=x'], ['--'],
    ['token'], ['token', 'nothing'], ['token', '--json'],
    ['init'], ['init', 'S', 'extra'], ['init', 'S', '--nothing'],
    ['init', 'S', '--lineage', 'x'], ['init', 'S', '--lineage'],
    ['init', 'S', '--group', 'no such group'], ['init', 'S', '--group', '12x'],
    ['init', 'S', '--group', '4294967295'],
    ['init', 'S', '--map-size', 'x'], ['init', 'S', '--map-size', '0'],
    ['init', 'S', '--map-size', '1x'], ['init', 'S', '--map-size', '-1'],
    ['init', 'S', '--map-size', '99999999999999999999'],
    ['init', 'S', '--map-size', '18014398509481984k'],
    ['init', 'S', '--map-size', '129t'],
    ['import', 'S'], ['import', 'S', '-', '-'], ['import', 'S', '-', '--batch'],
    ['import', 'S', '-', '--batch', '0'], ['import', 'S', '-', '--batch', 'x'],
    ['import', 'S', '-', '--durability', 'none'],
    ['import', 'S', '-', '--repair'], ['import', 'S', '-', '--atomic=yes'],
    ['put', 'S'], ['put', 'S', '-', '--atomic'],
    ['get', 'S', '--project', 'demo'], ['get', 'S', 'exp_1'],
    ['get', 'S', 'exp_1', '--project', 'Demo'],
    ['get', 'S', 'exp_1', '--project', ''],
    ['get', 'S', 'exp_1', '--user', 'a b'],
    ['get', 'S', 'exp_1', '--project', 'demo', '--user', '42'],
    ['list', 'S'], ['list', 'S', '--project'],
    ['list', 'S', '--project', 'demo', '--status', 'pending'],
    ['list', 'S', '--user', '42', '--status', 'not_found'],
    ['list', 'S', '--project', 'demo', '--limit', '0'],
    ['list', 'S', '--project', 'demo', 'extra'],
    ['delete', 'S', '--project', 'demo'], ['delete', 'S', 'exp_1'],
    ['token', 'create', 'S'],
    ['token', 'create', 'S', '--user', '42', '--admin'],
    ['token', 'create', 'S', '--user', '42', '--table', 'x'],
    ['token', 'create', 'S', '--project', 'demo', '--admin', '--table', 'x'],
    ['token', 'create', 'S', '--project', 'demo', '--expires', 'tomorrow'],
    ['token', 'create', 'S', '--project', 'demo', '--expires', '3x'],
    ['token', 'create', 'S', '--project', 'demo', '--expires', '999999999w'],
    ['token', 'create', 'S', '--project', 'demo', '--table', ''],
    ['token', 'create', 'S', '--project', 'demo', '--table', "a\xff"],
    ['token', 'create', 'S', '--project', 'demo', '--table', 'x' x 1025],
    ['token', 'create', 'S', '--project', 'demo', ('--table', 'x') x 65],
    ['token', 'revoke', 'S'], ['token', 'import', 'S'],
    ['stat'], ['stat', 'S', '--atomic'], ['verify', 'S', 'x'],
    ['backup', 'S'], ['backup', 'S', 'T', 'U'],
);

plan tests => @ctls * (2 * @usage + 4 * @commands + 31) + @commands + 2;

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # help

    my ($exit, $out, $err) = $t->ctl('--help');
    is $exit, 0, '--help: exit';
    is $err, '', '--help: no errors';
    like $out, qr/^usage: exportsctl /, '--help: usage';
    like $out, qr/^\s+\Q$_\E\s/m, "--help: $_"
        for 'init', 'export', 'token create', 'sweep';

    for my $command (@commands) {
        ($exit, $out, $err) = $t->ctl(split(' ', $command), '--help');
        is $exit, 0, "$command --help: exit";
        is $err, '', "$command --help: no errors";
        like $out, qr/^usage: exportsctl \Q$command\E /, "$command: usage";
        like $out, qr/^\s+--help\s/m, "$command: --help is an option";
    }

    ($exit, $out) = $t->ctl('token', '--help');
    is $exit, 0, 'token --help: exit';
    like $out, qr/token revoke/, 'token --help: its commands';

    # version

    ($exit, $out, $err) = $t->ctl('--version');
    is $exit, 0, '--version: exit';
    like $out, qr/^exportsctl \d+\.\d+\.\d+\b.*\n\z/, '--version';
    is $err, '', '--version: no errors';

    # usage

    my $store = $t->store('s' . int rand 1e9);

    for (@usage) {
        my @args = map { $_ eq 'S' ? $store : $_ } @$_;
        my $name = 'usage: ' . substr "@$_", 0, 60;

        ($exit, $out, $err) = $t->ctl(@args);
        is $exit, 2, "$name: exit" or diag $out, $err;
        like $err, qr/^exportsctl: .+\nTry 'exportsctl .*--help'\.\n\z/,
             "$name: message";
    }

    # failures: exit 1, one line

    my $none = $t->path('none');

    for (['list', $none, '--project', 'demo'], ['stat', $none],
         ['verify', $none], ['export', $none], ['import', $none, '-'],
         ['get', $store, '--project', 'nobody', 'exp_1'],
         ['import', $store, $none])
    {
        ($exit, $out, $err) = $t->ctl(@$_);
        is $exit, 1, "$_->[0] @$_[2 .. $#$_]: exit" or diag $out, $err;
        like $err, qr/^exportsctl: $_->[0]: [^\n]+\n/, "$_->[0]: message";
    }

    for ('import', 'put') {
        ($exit, $out, $err) = $t->ctl($_, $store, $t->dir);
        is $exit, 1, "$_: a directory: exit";
        is $err, "exportsctl: $_: \"@{[$t->dir]}\": Is a directory\n",
           "$_: a directory: message";
    }

    ok !-e $none, 'nothing but init makes a store';
}

# the man page: every option of every command

my $man = $t->read_file($t->top . '/lmdb-schema/exportsctl.1');
$man =~ s/\\-/-/g;
$man =~ s/\\f[BIRP]//g;

like $man, qr/^\.(?:TH|Dt) "?EXPORTSCTL/mi, 'the man page';

for my $command (@commands) {
    my ($exit, $out) = $t->ctl(split(' ', $command), '--help');
    my @missing = grep { $man !~ /--\Q$_\E\b/ } $out =~ /^\s+--([\w-]+)/mg;
    ok $man =~ /\b\Q$command\E\b/ && !@missing, "the man page: $command"
        or diag "missing: @missing";
}

$t->done;
