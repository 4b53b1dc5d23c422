# exportsctl, its standard output full, or a pipe that nobody reads any more: an
# error; what only reads stops, what changes the store does so all the same.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

my @outputs = (['nobody reads', { unread => 1 }, 'Broken pipe']);
push @outputs, ['it is full', { stdout => '/dev/full' },
                'No space left on device'] if -c '/dev/full';

plan tests => @ctls * @outputs * 63 + 1;

sub status {
    return json($t->ctl_ok('get', $_[0], '--project', 'demo', $_[1]))->{status};
}

mkdir $t->path('files') or die;

my $n = 0;

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    for (@outputs) {
        my ($how, $output, $errno) = @$_;
        my $why = qr/^exportsctl: (?:[a-z ]+: )?standard output: $errno\n\z/;

        my @lines = map { project_line(project => 'demo', id => "exp_$_",
            storage_key => 'x', table => "findme$_",
            created_at => stamp(1_700_000_000_000_000 + $_)) } 100 .. 599;
        my $store = $t->store('store' . ++$n, @lines,
                              user_line(user => 42, uuid => 'u-1'));
        my $project = ['--project', 'demo'];
        my $id = 'tok_' . substr Digest::SHA::sha256_hex('x'), 0, 16;

        $t->token($store, project => 'demo', token => 'x');

        # what only reads

        for (['--help'], ['--version'], ['token', '--help'],
             ['init', '--help'], ['init', $store], ['init', $store, '--json'],
             ['get', $store, @$project, 'exp_100'], ['list', $store, @$project],
             ['list', $store, @$project, '--json'], ['export', $store],
             ['token', 'list', $store], ['token', 'list', $store, '--json'],
             ['stat', $store], ['stat', $store, '--json'],
             ['verify', $store], ['verify', $store, '--json'],
             ['sweep', $store, '--dry-run', '--root', $t->path('files')])
        {
            my $name = join ' ', grep { !m{/} } @$_;
            my ($exit, $out, $err) = $t->ctl(@$_, $output);
            is $exit, 1, "$how: $name: exit";
            like $err, $why, "$how: $name: is said";
        }

        # what changes the store

        for (['put', sub { status($store, 'exp_100') eq 'not_found' },
              '-', { stdin => project_line(project => 'demo', id => 'exp_100',
                                           status => 'not_found') }],
             ['import', sub { status($store, 'exp_101') eq 'not_found' },
              '-', { stdin => project_line(project => 'demo', id => 'exp_101',
                                           status => 'not_found') }],
             ['delete', sub { $t->ctl_ok('export', $store) !~ /"exp_102"/ },
              @$project, 'exp_102'],
             ['token revoke',
              sub { $t->ctl_ok('token', 'list', $store) =~ /^$id +revoked/m },
              $id],
             ['token import', sub {
                  (() = $t->ctl_ok('token', 'list', $store) =~ /^tok_/mg) == 2
              }, '-', { stdin => token_line('y', project => 'demo') }],
             ['backup', sub { $t->ctl_ok('verify', $t->path("copy$n")) },
              $t->path("copy$n")],
             ['sweep', sub { status($store, 'exp_103') eq 'not_found' },
              '--root', $t->path('files')])
        {
            my ($command, $done, @args) = @$_;
            my $o = ref $args[-1] ? pop @args : {};
            my ($exit, undef, $err) = $t->ctl(split(' ', $command), $store,
                                              @args, { %$o, %$output });
            is $exit, 1, "$how: $command: exit";
            like $err, $why, "$how: $command: is said";
            ok $done->(), "$how: $command: is done";
        }

        # a token that nobody got to know

        my ($exit, $out, $err) = $t->ctl('token', 'create', $store, @$project,
                                         '--json', $output);
        is $exit, 1, "$how: token create";
        my ($made) = $err =~ /cannot be printed: revoke (tok_[0-9a-f]{16})$/m;
        like $t->ctl_ok('token', 'list', $store), qr/^$made +valid/m,
             "$how: token create: which";

        # damage far behind what a buffer takes is not met

        $t->damage($store, 'findme598', 'findmeXXX');
        ($exit, $out, $err) = $t->ctl('export', $store, $output);
        like $err, $why, "$how: export stops";

        $t->damage($store, "findme$_", 'findmeXXX') for 200, 300;
        ($exit, $out, $err) = $t->ctl('verify', $store, '--json', $output);
        is $exit, 1, "$how: verify: a fault";
        like $err, $why, "$how: verify: is said";

        ($exit, $out, $err) = $t->ctl('verify', $store, '--repair', $output);
        is $exit, 1, "$how: verify --repair: exit";
        like $err, $why, "$how: verify --repair: is said";
        like $t->ctl_ok('verify', $store), qr/\b0 faults/,
             "$how: verify --repair: is done";
    }
}

$t->done;
