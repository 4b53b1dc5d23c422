# exportsctl get, list, delete, export: what was imported comes out the same.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

plan tests => @ctls * 63 + 9;

# lists over HTTP, of the first command's stores, before and after

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /one/ { exports_api project; exports_store %%DIR%%/store0; }
        location /two/ { exports_api project; exports_store %%DIR%%/copy0; }
    }
}
EOC

my @manifests = (
    (map { { project => 'demo', id => "exp_$_",
             created_at => stamp(1_700_000_000_000_000 + int($_ / 3)),
             status => $_ % 4 ? 'ready' : 'not_found',
             storage_key => "dir/$_.csv" } } 1 .. 700),
    { project => 'odd', id => 'exp_odd', table => "\"\\\b\f\n\r\t\x01/\x7f",
      download_name => "\x{fc}\x{20ac}\x{1f600}\x{2028}.csv",
      content_type => 'a/b; c="d"', storage_backend => 'r2',
      row_count => 0, table_count => 3, size_bytes => 9223372036854775807,
      expires_at => '2030-01-01T00:00:00.5Z', status => 'not_found',
      status_reason => 'gone', missing_at => '2026-06-03T00:00:00Z' },
    { project => 'odd', id => 'exp_schema', kind => 'schema_export',
      table => undef, row_count => undef, table_count => 12 },
    { project => 'x', id => 'exp_' . 'x' x 124 },
    { project => 'x' x 128, id => 'exp_x' },
);

my @users = (
    { user => 42, uuid => 'u-1' },
    { user => 42, uuid => 'u-2', status => 'failed', filename => undef,
      file_size => undef, row_count => undef, completed_at => undef,
      error_message => "out of \"disk\"\n", failed_at => '2026-06-02T01:25:00.25Z' },
    { user => 'ann', uuid => 'u-3', type => "caf\x{e9}", subject =>
      { type => 'invoice', id => -9223372036854775807, label => undef },
      storage_backend => 's3', storage_key => 'a/b', content_type => 'text/csv' },
    { user => 'x', uuid => 'x' x 64 },
    { user => 'x' x 64, uuid => 'x' },
);

my @lines = ((map { project_line(%$_) } @manifests),
             (map { user_line(%$_) } @users));

my $n = 0;

sub lines_of { split /\n/, $t->ctl_ok(@_) }

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    my $store = $t->store("store$n", @lines);
    my @scope = ('--project', 'demo');

    # ---- get

    my ($exit, $out, $err) = $t->ctl('get', $store, @scope, 'exp_7', 'exp_5');
    is $exit, 0, 'get: exit' or diag $err;
    is_deeply [map { $_->{id} } map { json($_) } split /\n/, $out],
              [qw(exp_7 exp_5)], 'get: one a line, in the order asked for';
    my $seven = json((split /\n/, $out)[0]);
    is_deeply $seven, { %{ json(project_line(%{ $manifests[6] })) },
                        created_at => stamp(1_700_000_000_000_002) },
              'get: as it was imported';

    ($exit, $out) = $t->ctl('get', $store, '--project', 'odd', 'exp_odd');
    is_deeply json($out), { %{ json(project_line(%{ $manifests[700] })) },
                            storage_key => 'exp_odd',
                            expires_at => '2030-01-01T00:00:00.500000Z' },
              'get: odd values; the default storage_key';

    ($exit, $out) = $t->ctl('get', $store, '--user', 'ann', 'u-3');
    is_deeply json($out), json(user_line(%{ $users[2] })), 'get: of a user';

    ($exit, $out) = $t->ctl('get', $store, '--user', '42', 'u-1');
    is_deeply json($out), { %{ json(user_line(%{ $users[0] })) }, user => '42',
                            storage_backend => 'local', storage_key => 'u-1',
                            content_type => 'application/octet-stream' },
              'get: of a user, defaults';

    for (['--project', 'x', 'exp_' . 'x' x 124],
         ['--project', 'x' x 128, 'exp_x'],
         ['--user', 'x', 'x' x 64], ['--user', 'x' x 64, 'x'])
    {
        my ($kind, $scope, $id) = @$_;
        $out = json($t->ctl_ok('get', $store, $kind, $scope, $id));
        is $out->{$kind eq '--user' ? 'uuid' : 'id'}, $id,
           "get: $kind of @{[length $scope]}, @{[length $id]}";
    }

    ($exit, $out, $err) = $t->ctl('get', $store, @scope, 'exp_no', 'exp_7');
    is $exit, 1, 'get: one is missing: exit';
    like $err, qr/^exportsctl: get: exp_no: not found$/m, 'get: which';
    is_deeply json($out), $seven, 'get: the other is printed';
    ($exit) = $t->ctl('get', $store, '--project', 'odd', 'exp_7');
    is $exit, 1, 'get: of another project';
    ($exit) = $t->ctl('get', $store, '--user', 'ann', 'u-1');
    is $exit, 1, 'get: of another user';

    # ---- list

    my @want = map { $_->{id} }
               sort { micros($b->{created_at}) <=> micros($a->{created_at})
                      || tie($b->{id}) cmp tie($a->{id}) }
               grep { $_->{project} eq 'demo' } @manifests;
    my %status = map { $_->{id} => $_->{status} } @manifests[0 .. 699];

    is_deeply [map { json($_)->{id} } lines_of('list', $store, @scope,
               '--json')], \@want, 'list: newest first, all of it';
    is_deeply [map { json($_)->{id} } lines_of('list', $store, @scope,
               '--json', '--limit', 5)], [@want[0 .. 4]], 'list: --limit';
    for my $status ('ready', 'not_found') {
        is_deeply [map { json($_)->{id} } lines_of('list', $store, @scope,
                   '--json', '--status', $status)],
                  [grep { $status{$_} eq $status } @want],
                  "list: --status $status";
    }

    my @rows = lines_of('list', $store, @scope);
    is @rows, 701, 'list: a row each, and a head';
    like $rows[1], qr/^\Q$want[0]\E\s+(?:ready|not_found)\s+2023-11-14T22:13:20/,
         'list: a row';
    is_deeply [map { json($_)->{uuid} } lines_of('list', $store, '--user',
               '42', '--json')], [sort { tie($b) cmp tie($a) } qw(u-1 u-2)],
              'list: of a user';
    like $t->ctl_ok('list', $store, '--user', 42, '--status', 'failed'),
         qr/^u-2\s+failed\s/m, 'list: of a user, --status';
    unlike $t->ctl_ok('list', $store, '--project', 'odd'), qr/[\x01-\x09\x7f]/,
           'list: nothing unprintable';
    ($exit, $out, $err) = $t->ctl('list', $store, '--project', 'nobody');
    is $exit, 1, 'list: no such project: exit';
    like $err, qr/"nobody"/, 'list: no such project: which';

    # ---- export, and back

    my $all = $t->ctl_ok('export', $store);
    my @export = split /\n/, $all;
    is @export, @lines, 'export: all of it';
    is scalar(grep { json($_)->{project} // '' eq 'demo' } @export), 704,
       'export: projects';

    my $copy = $t->store("copy$n");
    $t->ctl_ok('import', $copy, '-', { stdin => $all });
    is $t->ctl_ok('export', $copy), $all, 'export: round trip';
    my $again = $t->store("again$n");
    $t->ctl_ok('import', $again, '-', { stdin =>
        join "\n", reverse(@export), '' });
    is join("\n", sort(lines_of('export', $again))),
       join("\n", sort @export), 'export: whatever the order of the lines';
    is_deeply [lines_of('list', $again, @scope, '--json')],
              [lines_of('list', $store, @scope, '--json')],
              'export: the same order of a list';

    is $t->ctl_ok('export', $store, '--project', 'odd'),
       join('', map { "$_\n" } grep { (json($_)->{project} // '') eq 'odd' }
                               @export), 'export: one project';
    is scalar(lines_of('export', $store, '--user', 42)), 2, 'export: one user';
    ($exit) = $t->ctl('export', $store, '--user', 'nobody');
    is $exit, 1, 'export: no such user';

    # tokens only when asked for

    $t->token($store, project => 'demo', token => 'pat_demo', admin => 1);
    $t->token($store, project => 'odd', token => 'pat_odd',
              tables => ["a\x{e9}", 'b'], expires_at => '2030-01-01T00:00:00Z');
    $t->token($store, user => 'ann', token => 'pat_ann', active => 0,
              revoked_at => '2026-01-01T00:00:00Z');
    is $t->ctl_ok('export', $store), $all, 'export: no tokens';

    my $full = $t->ctl_ok('export', $store, '--tokens');
    my @tokens = grep { $_->{sha256} } map { json($_) } split /\n/, $full;
    is @tokens, 3, 'export: --tokens';
    my $full_copy = $t->store("full$n");
    $t->ctl_ok('import', $full_copy, '-', { stdin => $full });
    is $t->ctl_ok('export', $full_copy, '--tokens'), $full,
       'export: --tokens: round trip';
    is scalar(grep { json($_)->{sha256} } lines_of('export', $store, '--tokens',
              '--project', 'odd')), 1, 'export: --tokens of one project';

    # ---- delete

    $out = $t->ctl_ok('delete', $store, @scope, 'exp_7', '--json');
    is_deeply json($out), { deleted => 1, missing => [] }, 'delete: one';
    ($exit, $out, $err) = $t->ctl('delete', $store, @scope, 'exp_7', 'exp_8',
                                  'exp_9', 'exp_x y', '--json');
    is $exit, 1, 'delete: some are missing: exit';
    is_deeply json($out), { deleted => 2, missing => ['exp_7', 'exp_x y'] },
              'delete: the others go';
    like $err, qr/exp_7: not found/, 'delete: which are missing';
    ($exit) = $t->ctl('delete', $store, '--project', 'odd', 'exp_10');
    is $exit, 1, 'delete: of another project';
    ($exit) = $t->ctl('delete', $store, '--user', 'ann', 'u-1');
    is $exit, 1, 'delete: of another user';
    ($exit, $out, $err) = $t->ctl('delete', $store, '--project', 'nobody',
                                  'exp_10');
    is $exit, 1, 'delete: no such project';
    is $err, "exportsctl: delete: project \"nobody\" is not in the store\n",
       'delete: no such project: which';
    is_deeply [map { json($_)->{id} } lines_of('list', $store, @scope,
               '--json')], [grep { !/^exp_[789]\z/ } @want],
              'delete: no longer listed';
    is_deeply [map { json($_)->{id} } lines_of('list', $store, @scope,
               '--json', '--status', 'ready')],
              [grep { !/^exp_[789]\z/ && $status{$_} eq 'ready' } @want],
              'delete: nor by status';
    ($exit) = $t->ctl('get', $store, @scope, 'exp_8');
    is $exit, 1, 'delete: gone';

    # all of a project: it is empty, not unknown

    $t->ctl_ok('delete', $store, '--project', 'odd', 'exp_odd', 'exp_schema');
    is $t->ctl_ok('list', $store, '--project', 'odd', '--json'), '',
       'delete: the last of a project';
    $t->ctl_ok('delete', $store, '--user', 42, 'u-1', 'u-2');
    is scalar(lines_of('export', $store)), @lines - 7, 'delete: of a user';

    # what was deleted may come again

    $t->load($store, @lines);
    is scalar(lines_of('export', $store)), @lines, 'and all of it again';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'verify';

    # ---- the table of one command is the input of another: a pipeline

    my $entries = json($t->ctl_ok('stat', $store, '--json'))->{entries};
    is $entries->{manifests}, @lines, 'stat: manifests';
    is $entries->{ids}, @lines, 'stat: ids';
    is $entries->{tokens}, 3, 'stat: tokens';
    is $entries->{scopes}, 8, 'stat: scopes';
    is $entries->{facets}, 704 * 2 + 4 * 4 + 16, 'stat: entries of lists';

    # replacing everything by itself changes nothing in them

    $t->load($store, @lines);
    is_deeply json($t->ctl_ok('stat', $store, '--json'))->{entries}, $entries,
              'stat: the same after the same import';

    # ---- arguments of any order, and operands that look like options

    ($exit, $out) = $t->ctl('get', @scope, $store, '--json', 'exp_7');
    is $exit, 0, 'options before operands';
    ($exit, $out, $err) = $t->ctl('get', $store, @scope, '--', '--json');
    is $exit, 1, 'an operand behind --';
    like $err, qr/^exportsctl: get: --json: /m, 'an operand behind --: named';
    ($exit, $out, $err) = $t->ctl('get', $store, @scope, "exp_\e[31m\xff");
    unlike $err, qr/[\e\xff]/, 'nothing unprintable in messages';

    $n++;
}

# ---- the same lists over HTTP

my $token = 'pat_the_same';
$t->token($t->path($_), project => 'demo', token => $token)
    for 'store0', 'copy0';
$t->run;

for my $args ('', '?limit=500', '?limit=500&offset=500', '?status=ready',
              '?status=not_found&limit=500', '?offset=699', '?offset=123',
              '?status=ready&offset=500')
{
    my ($one, $two) = map { my $body = masked($t->get(
        "/$_/demo/exports$args", Authorization => "Bearer $token")->body);
        $body =~ s{"/$_/}{"/}g; $body } qw(one two);
    is $two, $one, "an imported export is listed the same: $args";
}

$t->done;
