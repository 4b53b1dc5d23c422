# exportsctl token create, import, list, revoke.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA 'sha256_hex';
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

my $hash = sha256_hex('x');

# name, line, what is said
my @bad = (
    ['no JSON', 'x', qr/JSON/],
    ['no hash', '{"project":"demo"}', qr/^sha256: /],
    ['a short hash', qq({"sha256":"@{[substr $hash, 1]}","project":"demo"}),
     qr/^sha256: /],
    ['a hash that is none', qq({"sha256":"@{['g' x 64]}","project":"demo"}),
     qr/^sha256: /],
    ['a number as hash', '{"sha256":1,"project":"demo"}', qr/^sha256: /],
    ['no scope', qq({"sha256":"$hash"}), qr/"project"/],
    ['two scopes', token_line('x', project => 'demo', user => 42), qr/both/],
    ['a bad project', token_line('x', project => 'Demo'), qr/^project: /],
    ['a bad user', token_line('x', user => 'a b'), qr/^user: /],
    ['an unknown key', token_line('x', project => 'demo', name => 'y'),
     qr/^name: unknown/],
    ['a token in clear', token_line('x', project => 'demo', token => 'x'),
     qr/^token: unknown/],
    ['admin that is no truth', token_line('x', project => 'demo')
     =~ s/\}$/,"admin":1}/r, qr/^admin: /],
    ['active that is no truth', token_line('x', project => 'demo')
     =~ s/\}$/,"active":"yes"}/r, qr/^active: /],
    ['tables that are none', token_line('x', project => 'demo',
     tables => 'contacts'), qr/^tables: /],
    ['a table that is none', token_line('x', project => 'demo',
     tables => [1]), qr/^tables: /],
    ['an empty table', token_line('x', project => 'demo', tables => ['']),
     qr/^tables: /],
    ['65 tables', token_line('x', project => 'demo', tables => [1 .. 65]),
     qr/^tables: /],
    ['a table of 1,025 bytes', token_line('x', project => 'demo',
     tables => ['x' x 1025]), qr/^tables: /],
    ['a user who is admin', token_line('x', user => 42, admin => 1), qr/admin/],
    ['a user with tables', token_line('x', user => 42, tables => ['x']),
     qr/tables/],
    (map { ["a bad $_", token_line('x', project => 'demo', $_ => 'soon'),
            qr/^$_: not an RFC 3339 time/] }
        qw(created_at expires_at revoked_at)),
    ['a manifest', project_line(), qr/^sha256: /],
);

plan tests => @ctls * (3 * @bad + 72) + 1;

sub tokens { map { json($_) } split /\n/, $t->ctl_ok('token', 'list', @_,
                                                      '--json') }

my $n = 0;

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # ---- import: refused

    my $store = $t->store("bad$n");

    for (@bad) {
        my ($name, $line, $why) = @$_;
        my ($exit, $out, $err) = $t->ctl('token', 'import', $store, '-',
            { stdin => token_line('good', project => 'demo') . "\n$line\n" });
        is $exit, 1, "$name: exit";
        my ($said) = $err =~ /^exportsctl: token import: line 2: (.*)$/m;
        like $said, $why, "$name: why" or diag $err;
        is scalar(tokens($store)), 0, "$name: all or nothing";
    }

    # ---- import: accepted

    $store = $t->store("good$n");
    my ($exit, $out, $err) = $t->ctl('token', 'import', $store, '-',
        { stdin => join "\n",
          token_line('a', project => 'demo'),
          token_line('b', project => 'demo', admin => 1, active => 0,
                     expires_at => '2030-01-01T00:00:00.5+01:00',
                     created_at => '2020-01-01T00:00:00Z'),
          token_line('c', project => 'other', tables => ["t\x{e9}", 'u']),
          token_line('d', project => 'other', tables => []),
          token_line('e', user => 42, revoked_at => '2026-01-01T00:00:00Z'),
          token_line('f', user => 'ann', expires_at => undef,
                     revoked_at => undef, tables => undef),
          token_line('g', project => 'demo',
                     tables => [map { "table $_" } 1 .. 64]),
          token_line('h', project => 'demo')
              =~ s/([0-9a-f]{64})/uc $1/er,
          '' });
    is $exit, 0, 'import: exit' or diag $err;
    is $out, "imported 8 tokens\n", 'import: says how many';

    my %token = map { $_->{sha256} => $_ } tokens($store);
    is keys %token, 8, 'list: all';
    my $b = $token{ sha256_hex('b') };
    is_deeply $b, { sha256 => sha256_hex('b'), project => 'demo',
        admin => JSON::PP::true, active => JSON::PP::false,
        created_at => '2020-01-01T00:00:00Z',
        expires_at => '2029-12-31T23:00:00.500000Z', revoked_at => undef },
        'list: --json';
    is_deeply $token{ sha256_hex('c') }{tables}, ["t\x{e9}", 'u'],
              'list: tables';
    is_deeply $token{ sha256_hex('d') }{tables}, [], 'list: no tables';
    is $token{ sha256_hex('a') }{tables}, undef, 'list: no restriction';
    is @{ $token{ sha256_hex('g') }{tables} }, 64, 'list: 64 tables';
    ok abs(micros($token{ sha256_hex('a') }{created_at}) / 1e6 - time) < 60,
       'import: created now, where it is not said';
    ok $token{ sha256_hex('h') }, 'import: an upper-case hash';

    is scalar(tokens($store, '--project', 'demo')), 4, 'list: of a project';
    is scalar(tokens($store, '--user', '42')), 1, 'list: of a user';
    ($exit) = $t->ctl('token', 'list', $store, '--project', 'nobody');
    is $exit, 1, 'list: no such project';

    # a table for people: the token IDs, no hashes

    my $table = $t->ctl_ok('token', 'list', $store);
    my %row = map { /^(tok_[0-9a-f]{16}) +(.*)/ ? ($1 => $2) : () }
              split /\n/, $table;
    my ($id_a, $id_b, $id_c, $id_e, $id_f) =
        map { 'tok_' . substr sha256_hex($_), 0, 16 } qw(a b c e f);
    is keys %row, 8, 'list: rows';
    like $row{$id_a}, qr/^valid +project demo +never +all tables/, 'list: valid';
    like $row{$id_b}, qr/^inactive +project demo +2029-12-31T23:00:00\.500000Z +admin/,
         'list: inactive';
    like $row{$id_c}, qr/2 tables: t\xc3\xa9, u/, 'list: tables';
    like $row{$id_e}, qr/^revoked +user 42/, 'list: revoked';
    like $row{$id_f}, qr/^valid +user ann/, 'list: of a user';
    unlike $table, qr/[0-9a-f]{17}/, 'list: no hashes';

    # an import again replaces

    $t->token($store, token => 'a', project => 'other', admin => 1);
    is scalar(tokens($store)), 8, 'import again: replaced';
    %token = map { $_->{sha256} => $_ } tokens($store);
    is $token{ sha256_hex('a') }{project}, 'other', 'import again: moved';

    # ---- create

    $out = $t->ctl_ok('token', 'create', $store, '--project', 'fresh');
    my ($made) = $out =~ /\b(pat_[A-Za-z0-9]{40})\b/;
    ok $made, 'create: a token' or diag $out;
    my ($id) = $out =~ /\b(tok_[0-9a-f]{16})\b/;
    is $id, 'tok_' . substr(sha256_hex($made // ''), 0, 16), 'create: its ID';
    my ($stored) = tokens($store, '--project', 'fresh');
    is $stored->{sha256}, sha256_hex($made // ''), 'create: its hash';
    is $stored->{expires_at}, undef, 'create: never expires';
    is $stored->{admin}, JSON::PP::false, 'create: no admin';
    is $stored->{tables}, undef, 'create: all tables';
    ok $t->read_file("$store/data.mdb") !~ /\Q$made/, 'create: not stored';

    $out = json($t->ctl_ok('token', 'create', $store, '--project', 'rights',
                           '--json', '--admin', '--expires',
                           '2999-02-03T04:05:06Z'));
    is_deeply [sort keys %$out], [qw(expires_at project token token_id)],
              'create: --json';
    is $out->{expires_at}, '2999-02-03T04:05:06Z', 'create: --expires';
    ($stored) = tokens($store, '--project', 'rights');
    is $stored->{admin}, JSON::PP::true, 'create: --admin';
    is $stored->{expires_at}, '2999-02-03T04:05:06Z', 'create: expires';

    $t->ctl_ok('token', 'create', $store, '--project', 'tables',
               '--table', 'b', '--table', "\xc3\xa9");
    ($stored) = tokens($store, '--project', 'tables');
    is_deeply $stored->{tables}, ['b', "\x{e9}"], 'create: --table';

    my @tables = ('x' x 1024, 1 .. 63);
    $t->ctl_ok('token', 'create', $store, '--project', 'most',
               map { ('--table', $_) } @tables);
    ($stored) = tokens($store, '--project', 'most');
    is_deeply $stored->{tables}, \@tables, 'create: as many as can be';

    for (['90s', 90], ['45m', 2700], ['2h', 7200], ['30d', 2592000],
         ['1w', 604800])
    {
        my $answer = json($t->ctl_ok('token', 'create', $store, '--project',
                                     'times', '--json', '--expires', $_->[0]));
        my $in = micros($answer->{expires_at}) / 1e6 - time;
        ok abs($in - $_->[1]) < 30, "create: --expires $_->[0]";
    }

    ($exit, $out, $err) = $t->ctl('token', 'create', $store, '--project',
        'times', '--expires', '2000-01-01T00:00:00Z');
    like $err, qr/past/, 'create: a time that has passed';

    $out = json($t->ctl_ok('token', 'create', $store, '--user', 42, '--json'));
    is $out->{user}, '42', 'create: for a user';
    isnt $out->{token}, $made, 'create: another each time';

    # ---- revoke

    ($exit, $out, $err) = $t->ctl('token', 'revoke', $store, $id_a);
    is $exit, 0, 'revoke: exit' or diag $err;
    ($stored) = grep { $_->{sha256} eq sha256_hex('a') } tokens($store);
    ok abs(micros($stored->{revoked_at}) / 1e6 - time) < 60, 'revoke: as of now';
    $t->ctl_ok('token', 'revoke', $store, $id_a);
    my ($same) = grep { $_->{sha256} eq sha256_hex('a') } tokens($store);
    is $same->{revoked_at}, $stored->{revoked_at}, 'revoke: again: it stays';
    like $t->ctl_ok('token', 'list', $store), qr/^\Q$id_a\E +revoked/m,
         'revoke: listed so';

    ($exit, $out, $err) = $t->ctl('token', 'revoke', $store, '--json',
        'tok_0000000000000000', 'nonsense', uc $id_b, $id_c, $id_f);
    is $exit, 1, 'revoke: some are missing: exit';
    like $err, qr/tok_0000000000000000: not found/, 'revoke: not found';
    like $err, qr/nonsense: not a token ID/, 'revoke: no token ID';
    ok json($out)->{revoked} >= 2, 'revoke: the others are';

    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'verify';
    is $t->ctl_ok('token', 'import', $store, '-', { stdin => '' }),
       "imported 0 tokens\n", 'import: nothing';

    # ---- damaged: what can be read is listed, and that it is not all is said

    $store = $t->store("damaged$n");
    $t->token($store, token => 'a', project => 'whole', tables => ['x']);
    $t->token($store, token => 'b', project => 'whole', tables => ['findme']);
    $t->token($store, token => 'c', project => 'broken');

    cmp_ok $t->damage($store, 'findme', 'findmX'), '>', 0, 'a damaged token';

    for (['token', 'list', $store, '--json'], ['export', $store, '--tokens']) {
        ($exit, $out, $err) = $t->ctl(@$_);
        is $exit, 1, "a damaged token: $_->[0]: exit";
        like $err, qr/^exportsctl: [a-z ]+: a token .*damaged/,
             "a damaged token: $_->[0]: is said";
        is join(' ', sort map { json($_)->{sha256} } split /\n/, $out),
           join(' ', sort map { sha256_hex($_) } 'a', 'c'),
           "a damaged token: $_->[0]: the others";
    }

    # its key, and behind it the upper half of its ID

    $t->load($store, project_line(project => 'broken'));

    my $key = "pbroken\0\0\0\0";
    cmp_ok $t->damage($store, $key, $key =~ s/\0\z/\x01/r), '>', 0,
           'a damaged scope';

    for (['token', 'list', $store, '--json'], ['export', $store, '--tokens']) {
        ($exit, $out, $err) = $t->ctl(@$_);
        is $exit, 1, "a damaged scope: $_->[0]: exit";
        like $err, qr/: scope "broken" is left out: the record is damaged$/m,
             "a damaged scope: $_->[0]: is said";
        like $err, qr/: a token .*its scope does not exist/,
             "a damaged scope: $_->[0]: its token";
        is json($out)->{sha256}, sha256_hex('a'),
           "a damaged scope: $_->[0]: the others";
    }

    like $err, qr/: a manifest .*its scope does not exist$/m,
         'a damaged scope: export: its manifest';

    ($exit, $out, $err) = $t->ctl('token', 'list', $store, '--project',
                                  'broken');
    is $exit, 1, 'a damaged scope: asked for: exit';
    like $err, qr/: project "broken" cannot be read: /,
         'a damaged scope: asked for';

    $n++;
}

$t->done;
