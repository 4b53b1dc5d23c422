# exportsctl import and put: what is accepted, what is refused and why, and
# that nothing of a bad batch is kept.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

my $long = 'x' x 1025;

# name, the manifest, what is said behind "line 2: "
my @bad = (
    # not JSON, or not as it must be
    ['no JSON', '{', qr/JSON/],
    ['no object', '[]', qr/object/],
    ['a string', '"x"', qr/object|JSON/],
    ['two objects', '{} {}', qr/JSON/],
    ['a NUL outside', project_line() . "\0", qr/JSON.*: a NUL byte$/],
    ['a NUL inside', project_line(table => 'XX') =~ s/XX/\0/r,
     qr/JSON.*: a NUL byte$/],
    ['a byte order mark', "\xef\xbb\xbf" . project_line(),
     qr/JSON.*: a byte order mark$/],
    ['invalid UTF-8', project_line(table => 'XX') =~ s/XX/\xff\xfe/r, qr/JSON/],
    ['overlong UTF-8', project_line(table => 'XX') =~ s/XX/\xc0\xaf/r, qr/JSON/],
    ['a surrogate', project_line(table => 'XX') =~ s/XX/\\ud800/r, qr/JSON/],
    ['a UTF-8 surrogate', project_line(table => 'XX') =~ s/XX/\xed\xa0\x80/r,
     qr/JSON/],
    ['beyond Unicode', project_line(table => 'XX') =~ s/XX/\xf4\x90\x80\x80/r,
     qr/JSON/],
    ['an escaped NUL', project_line(table => 'XX') =~ s/XX/\\u0000/r,
     qr/JSON.*: \\u0000 is not allowed$/],
    ['a raw control character', project_line(table => 'XX') =~ s/XX/\x01/r,
     qr/JSON/],
    ['a duplicate key', project_line() =~ s/\}$/,"id":"exp_2"}/r, qr/duplicate/],
    ['a number of 64 bits', project_line(row_count => 7)
     =~ s/"row_count":7/"row_count":9223372036854775808/r, qr/integer/],
    ['a number of 70 bits', project_line(row_count => 7)
     =~ s/"row_count":7/"row_count":1180591620717411303424/r, qr/integer/],
    ['a key as long as a record', project_line('k' x 20000 => 1), qr/unknown/],
    ['deep nesting', project_line(table => 'XX')
     =~ s/"XX"/'[' x 5000 . ']' x 5000/er, qr/JSON|table/],
    ['neither kind', '{"id":"exp_1"}', qr/"project"/],
    ['both kinds', project_line(user => 42), qr/user/],

    # keys
    ['an unknown key', project_line(colour => 'red'), qr/^colour: unknown/],
    ['download_url', project_line(download_url => '/x'), qr/^download_url: /],
    ['a key of the other kind', project_line(filename => 'x'), qr/^filename: /],
    (map { my %m = %{ json(project_line()) }; delete $m{$_};
           ["without $_", json_text(\%m), $_ eq 'project' ? qr/"project"/
                                                          : qr/^$_: missing/] }
        qw(id kind scope project format download_name storage_backend
           content_type status created_at table)),
    (map { my %m = %{ json(user_line()) }; delete $m{$_};
           ["user: without $_", json_text(\%m), $_ eq 'user' ? qr/"user"/
                                                             : qr/^$_: missing/] }
        qw(uuid user type status requested_at)),

    # types
    (map { ["a number as $_", project_line($_ => 7), qr/^$_: /] }
        qw(id kind scope project table format download_name storage_backend
           content_type status status_reason missing_at created_at expires_at
           storage_key)),
    (map { ["null as $_", project_line($_ => undef),
            $_ eq 'project' ? qr/project/ : qr/^$_: /] }
        qw(id kind scope project format download_name storage_backend
           content_type status created_at storage_key)),
    (map { ["a string as $_", project_line($_ => '7'), qr/^$_: /],
           ["a fraction as $_", project_line($_ => 7.5), qr/^$_: /],
           ["a negative $_", project_line($_ => -1), qr/^$_: /],
           ["an array as $_", project_line($_ => []), qr/^$_: /] }
        qw(row_count table_count size_bytes)),
    ['true as a count', project_line(row_count => JSON::PP::true),
     qr/^row_count: /],
    ['1.0 as a count', project_line(row_count => 7)
     =~ s/"row_count":7/"row_count":1.0/r, qr/^row_count: /],
    ['an object as a name', project_line(download_name => {}),
     qr/^download_name: /],

    # values
    (map { ["kind: $_", project_line(kind => $_), qr/^kind: /] }
        '', 'Table_export', 'view_export', 'table_export ', "table_export\n"),
    (map { ["status: $_", project_line(status => $_), qr/^status: /] }
        '', 'READY', 'all', 'pending', 'failed', 'ready,not_found'),
    (map { ["user: status: $_", user_line(status => $_), qr/^status: /] }
        '', 'READY', 'not_found', 'all'),
    (map { ['project: ' . substr($_, 0, 20), project_line(project => $_),
            qr/^project: /] }
        '', 'Demo', 'a b', 'a/b', 'a.b', "a\n", 'x' x 129, "\x{e4}"),
    (map { ['id: ' . substr($_, 0, 20), project_line(id => $_), qr/^id: /] }
        '', 'exp', 'exp_', 'x', 'EXP_1', 'exp_a b', 'exp_a/b', "exp_1\n",
        'exp_' . 'x' x 125, 'exp_../x', 'tok_1'),
    (map { ['uuid: ' . substr($_, 0, 20), user_line(uuid => $_), qr/^uuid: /] }
        '', 'a_b', 'a b', 'a/b', 'x' x 65),
    (map { ['user: ' . substr($_ // 'null', 0, 20), user_line(user => $_),
            qr/^user: /] }
        '', 'a b', 'a/b', 'x' x 65, "\x{e4}", undef, [], 1.5),
    ['a type with a comma', user_line(type => 'a,b'), qr/^type: /],
    ['a subject that is a string', user_line(subject => 'x'), qr/^subject: /],
    ['a subject without a type', user_line(subject => { id => 1 }),
     qr/^subject\.type: /],
    ['a subject without an id', user_line(subject => { type => 'x' }),
     qr/^subject\.id: /],
    ['a subject with a string as id',
     user_line(subject => { type => 'x', id => '1' }), qr/^subject\.id: /],
    ['a subject with more',
     user_line(subject => { type => 'x', id => 1, name => 'y' }),
     qr/^subject\.name: unknown/],

    # lengths
    (map { ["$_ of 1,025 bytes", project_line($_ => $long), qr/^$_: longer/] }
        qw(scope table format download_name storage_backend content_type
           status_reason storage_key)),
    ['1,025 bytes of UTF-8', project_line(table => "\x{20ac}" x 341 . 'xx'),
     qr/^table: longer/],
    ['a record that is too large', project_line(map { $_ => "\x01" x 1024 }
        qw(scope table format download_name status_reason)),
     qr/16384|larger/],

    # times
    (map { ["created_at: $_", project_line(created_at => $_),
            qr/^created_at: not an RFC 3339 time from 1970 to 9999 of six fractional digits at most: "/] }
        '', 'yesterday', '2026-06-02', '2026-06-02T01:23:45',
        '2026-06-02 01:23:45Z', '2026-13-02T01:23:45Z', '2026-00-02T01:23:45Z',
        '2026-02-29T01:23:45Z', '2026-04-31T01:23:45Z', '2026-06-02T24:00:00Z',
        '2026-06-02T01:60:45Z', '2026-06-02T01:23:60Z', '2026-06-02T01:23:45.Z',
        '2026-06-02T01:23:45.1234567Z', '2026-06-02T01:23:45+24:00',
        '2026-06-02T01:23:45+0100', '1969-12-31T23:59:59Z',
        '1970-01-01T00:00:00+00:01', '9999-12-31T23:59:59-00:01',
        '10000-01-01T00:00:00Z', '2026-06-02T01:23:45Zx',
        ' 2026-06-02T01:23:45Z', '+2026-06-02T01:23:45Z'),
    ['a bad missing_at', project_line(missing_at => 'x'), qr/^missing_at: /],
    ['a bad expires_at', project_line(expires_at => 'x'), qr/^expires_at: /],

    # keys of artifacts, and what goes into headers
    (map { ["storage_key: $_", project_line(storage_key => $_),
            qr/^storage_key: /] }
        '', '/', '/etc/passwd', '..', '../x', 'a/../b', 'a/..', "a\nb",
        "a\x7f", "\t"),
    ['user: storage_key', user_line(storage_key => '../x'), qr/^storage_key: /],
    ['a line break in content_type', project_line(content_type => "a\r\nb: c"),
     qr/^content_type: /],
    ['a line break in storage_backend', project_line(storage_backend => "a\n"),
     qr/^storage_backend: /],
);

# what is accepted, and what becomes of a time
my @good = (
    ['all that may be null', project_line(id => 'exp_n', map { $_ => undef }
        qw(row_count table_count size_bytes expires_at status_reason
           missing_at))],
    ['nulls left out', do { my %m = %{ json(project_line(id => 'exp_o')) };
        delete @m{qw(row_count table_count size_bytes expires_at
                     status_reason missing_at)};
        json_text(\%m) }],
    ['no table', project_line(id => 'exp_p', kind => 'schema_export',
                              table => undef)],
    ['a table for a database export', project_line(id => 'exp_p2',
        kind => 'database_export', table => 'x')],
    ['an id of 128 bytes', project_line(id => 'exp_' . 'x' x 124)],
    ['a slug of 128 bytes', project_line(project => 'x' x 128)],
    ['strings of 1,024 bytes', project_line(id => 'exp_q', table => 'x' x 1024,
        download_name => "\x{20ac}" x 341 . 'x')],
    ['63 bits', project_line(id => 'exp_r', size_bytes => 9223372036854775807)],
    ['spaces and order', ' { "user" : 7 , "uuid":"u-1","type":"x",'
     . '"status":"pending", "requested_at":"2026-01-01T00:00:00Z" } '],
    ['a user as text', user_line(user => 'a.B-_', uuid => 'u-2')],
    ['a user as a number', user_line(user => 43, uuid => 'u-3')],
    ['a subject', user_line(uuid => 'u-4', subject =>
        { type => 'x', id => -1, label => "\x{e4}" })],
    ['all of a user\'s statuses', map { user_line(uuid => "s-$_",
        status => $_) } qw(pending processing ready failed cancelled)],
    ['dots that are none', project_line(id => 'exp_s', storage_key => 'a/...b/..c')],
    ['a lower-case time', project_line(id => 'exp_t',
        created_at => '2024-02-29t01:02:03z')],
    ['a token', token_line('x', project => 'demo')],
);

plan tests => @ctls * (3 * @bad + 2 * @good + 56) + 1;

sub count {
    my ($store, @scope) = @_;
    my ($exit, $out) = $t->ctl('export', $store, @scope);
    return scalar(() = $out =~ /\n/g);
}

# What an import of lines that come slowly says on a terminal; undef: there is
# no script(1), which makes one.
sub on_terminal {
    my ($ctl, $store, @options) = @_;
    my ($lines, $shown) = ("$store.lines", "$store.shown");
    my $line = project_line(project => 'slow') . "\n";

    return if system('script -qc true /dev/null >/dev/null 2>&1 </dev/null');

    POSIX::mkfifo($lines, 0600) or die "mkfifo: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $shown;
        exec 'script', '-qec', "'$ctl' import '$store' '$lines' @options",
             '/dev/null' or POSIX::_exit(127);
    }

    local $SIG{ALRM} = sub { die "nobody reads $lines" };
    alarm 60;
    open my $fh, '>', $lines or die "$lines: $!";
    alarm 0;
    $fh->autoflush(1);
    wait_for { print $fh $line x 1024; $t->read_file($shown) =~ /\r/ };
    close $fh;
    waitpid $pid, 0;

    return $t->read_file($shown);
}

my $n = 0;

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # ---- refused

    my $store = $t->store('bad' . $n++);
    my $first = project_line(project => 'first');

    for (@bad) {
        my ($name, $line, $why) = @$_;
        $name =~ s/[\x00-\x1f\x7f-\x{ffff}]/?/g;
        my ($exit, $out, $err) = $t->ctl('import', $store, '-',
            { stdin => "$first\n$line\n$first\n" });

        is $exit, 1, "$name: exit" or diag $out, $err;
        my ($said) = $err =~ /^exportsctl: import: line 2: (.*)$/m;
        like $said, $why, "$name: why" or diag $err;
        is count($store), 0, "$name: nothing of it is kept";
    }

    # a message shows what was wrong, and no more of it than helps

    my (undef, undef, $err) = $t->ctl('import', $store, '-',
        { stdin => project_line(status => "\e[31m$long") . "\n" });
    unlike $err, qr/\e/, 'no control characters in messages';
    cmp_ok length $err, '<', 400, 'values are shortened';

    # ---- accepted

    $store = $t->store('good' . $n++);

    for (@good) {
        my ($name, @lines) = @$_;
        my ($exit, $out, $err) = $t->ctl('import', $store, '-',
            { stdin => join "\n", @lines, '' });
        is $exit, 0, "$name: exit" or diag $err;
        is $err, '', "$name: silent";
    }

    my ($exit, $out) = $t->ctl('get', $store, '--project', 'example_project',
                               'exp_t');
    is json($out)->{created_at}, '2024-02-29T01:02:03Z', 'a time is printed in Z';
    ($exit, $out) = $t->ctl('get', $store, '--user', '43', 'u-3');
    is $exit, 0, 'a user by a number';

    for (['2026-06-02T01:23:45.5+02:30', '2026-06-01T22:53:45.500000Z'],
         ['2026-06-02T01:23:45.000000-23:59', '2026-06-03T01:22:45Z'],
         ['1970-01-01T00:00:00.000001Z', '1970-01-01T00:00:00.000001Z'],
         ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00Z'],
         ['9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'])
    {
        $t->load($store, project_line(id => 'exp_time', created_at => $_->[0],
                                      expires_at => $_->[0]));
        my $m = json($t->ctl_ok('get', $store, '--project', 'example_project',
                                'exp_time'));
        is $m->{created_at}, $_->[1], "$_->[0]: created_at";
        is $m->{expires_at}, $_->[1], "$_->[0]: expires_at";
    }

    # ---- batches

    my @lines = map { project_line(project => 'demo', id => "exp_$_") } 1 .. 25;

    $store = $t->store('batch' . $n++);
    my $out2 = $t->ctl_ok('import', $store, '-', '--batch', 10,
                          '--json', { stdin => join "\n", @lines, '' });
    is_deeply json($out2), { lines => 25, manifests => 25, replaced => 0,
                             tokens => 0, commits => 3 }, 'three batches';

    # a line of the third is bad: two are kept, and the message says so

    $store = $t->store('batch' . $n++);
    my @some = @lines;
    $some[22] = '{"project":"demo"}';
    ($exit, $out, $err) = $t->ctl('import', $store, '-', '--batch', 10,
                                  { stdin => join "\n", @some, '' });
    is $exit, 1, 'a bad line in the third batch: exit';
    like $err, qr/line 23: id: missing/, 'a bad line: which';
    like $err, qr/\b20\b.*committed/, 'a bad line: what is committed';
    is count($store), 20, 'a bad line: two batches are kept';

    # batches of a line, of which the input is read many at once

    $store = $t->store('batch' . $n++);
    @some = map { $_ . ' ' x 200_000 } @some;
    ($exit, $out, $err) = $t->ctl('import', $store, '-', '--batch', 1,
                                  { stdin => join "\n", @some, '' });
    like $err, qr/line 23: id: missing/, 'batches of a long line: which';
    is count($store), 22, 'batches of a long line: 22 are kept';

    # all or nothing

    $store = $t->store('atomic' . $n++);
    ($exit, $out, $err) = $t->ctl('import', $store, '-', '--batch', 10,
        '--atomic', { stdin => join "\n", @some, '' });
    is $exit, 1, '--atomic: exit';
    like $err, qr/line 23: id: missing/, '--atomic: which';
    like $err, qr/nothing/, '--atomic: nothing is committed';
    is count($store), 0, '--atomic: nothing is kept';

    $out2 = $t->ctl_ok('import', $store, '-', '--batch', 10, '--atomic',
                       '--json', { stdin => join "\n", @lines, '' });
    is json($out2)->{commits}, 1, '--atomic: one commit';
    is count($store), 25, '--atomic: all of it';

    # ---- lines

    $store = $t->store('lines' . $n++);
    $t->ctl_ok('import', $store, '-', { stdin => "\n  \n$lines[0]\r\n\r\n\t\n"
                                        . "$lines[1]" });
    is count($store), 2, 'blank lines, CR LF, no newline at the end';

    ($exit, $out, $err) = $t->ctl('import', $store, '-',
                                  { stdin => "\n\n$lines[0]\n\nx\n" });
    like $err, qr/line 5: /, 'blank lines are counted';

    $t->ctl_ok('import', $store, '-', { stdin => '' });
    is count($store), 2, 'nothing to import';

    ($exit, $out, $err) = $t->ctl('import', $store, '-',
        { stdin => "$lines[2]\n{\"x\":\"" . 'x' x 3e6 . "\"}\n" });
    is $exit, 1, 'a line of 3 MB: exit';
    like $err, qr/line 2: .*longer/, 'a line of 3 MB: why';

    my $file = $t->write_file("file$n", join "\n", @lines, '');
    $t->ctl_ok('import', $store, $file);
    is count($store), 25, 'from a file';
    ($exit, $out, $err) = $t->ctl('import', $store, $t->dir);
    is $exit, 1, 'a directory is no file';

    $t->ctl_ok('import', $store, '-', '--durability', 'nometasync',
               { stdin => "$lines[0]\n" });
    is count($store), 25, '--durability nometasync';

    # ---- an import with the same id replaces

    $store = $t->store('again' . $n++);
    my @three = map { project_line(project => 'demo', id => "exp_$_",
        created_at => "2026-01-0${_}T00:00:00Z") } 1 .. 3;
    $t->load($store, @three);
    $out2 = $t->ctl_ok('import', $store, '-', '--json', { stdin => join "\n",
        project_line(project => 'demo', id => 'exp_1', status => 'not_found',
                     created_at => '2026-02-01T00:00:00Z'),
        project_line(project => 'demo', id => 'exp_4',
                     created_at => '2025-02-01T00:00:00Z'), '' });
    is json($out2)->{replaced}, 1, 'one of two is replaced';

    my @list = map { json($_) } split /\n/, $t->ctl_ok('list', $store,
        '--project', 'demo', '--json');
    is join(' ', map { $_->{id} } @list), 'exp_1 exp_3 exp_2 exp_4',
       'it is in its new place';
    is $list[0]{status}, 'not_found', 'with its new status';
    like $t->ctl_ok('list', $store, '--project', 'demo', '--status',
                    'not_found'), qr/exp_1/, 'in the list of that status';
    unlike $t->ctl_ok('list', $store, '--project', 'demo', '--status',
                      'ready'), qr/exp_1\b/, 'no longer in the other';

    # the same id in two projects is two

    $t->load($store, project_line(project => 'other', id => 'exp_1'));
    is count($store, '--project', 'demo'), 4, 'an id of another project';
    is count($store, '--project', 'other'), 1, 'is another';

    # a uuid is of one user for ever, here and among batches

    $t->load($store, user_line(user => 42, uuid => 'u-1'));
    ($exit, $out, $err) = $t->ctl('import', $store, '-',
        { stdin => user_line(user => 43, uuid => 'u-1') . "\n" });
    is $exit, 1, 'a uuid of another user: exit';
    like $err, qr/line 1: .*(?:u-1|uuid|user)/, 'a uuid of another user: why';
    $t->load($store, user_line(user => '42', uuid => 'u-1', status => 'failed'));
    is json($t->ctl_ok('get', $store, '--user', 42, 'u-1'))->{status}, 'failed',
       '42 and "42" are one user';
    $t->load($store, user_line(user => 42, uuid => 'U-1'));
    is count($store, '--user', 42), 2, 'uuids are case-sensitive';

    # ---- put

    ($exit, $out, $err) = $t->ctl('put', $store, '-', { stdin =>
        JSON::PP->new->pretty->encode(json(project_line(
            project => 'demo', id => 'exp_put'))) });
    is $exit, 0, 'put: several lines' or diag $err;
    like $out, qr/added exp_put/, 'put: says so';
    ($exit, $out, $err) = $t->ctl('put', $store, '-', '--json', { stdin =>
        project_line(project => 'demo', id => 'exp_put') });
    is_deeply json($out), { project => 'demo', id => 'exp_put',
                            replaced => JSON::PP::true }, 'put: replaced';
    ($exit, $out, $err) = $t->ctl('put', $store, '-', { stdin =>
        join "\n", @three });
    is $exit, 1, 'put: one only';
    ($exit, $out, $err) = $t->ctl('put', $store, '-', { stdin =>
        project_line(project => 'demo', created_at => 'x') });
    is $err, 'exportsctl: put: created_at: not an RFC 3339 time from 1970 '
        . 'to 9999 of six fractional digits at most: "x"' . "\n",
       'put: message';
    ($exit, $out, $err) = $t->ctl('put', $store, '-', { stdin =>
        project_line() =~ s/,/,\n\n/r =~ s/\}$/ x}/r });
    like $err, qr/^exportsctl: put: not JSON as it must be: line 3, column \d+: /,
         'put: the line of several';
    is count($store, '--project', 'demo'), 5, 'put: nothing else happened';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'verify: no faults';

    # ---- on a terminal: how far it is, in one line, which is wiped in the end

    SKIP: {
        my $shown = on_terminal($ctl, $store, '--batch', 1024);
        skip 'no script(1)', 2 if !defined $shown;
        like $shown, qr/^\r(\d+) lines, \d+ a second {4}\r/,
             'on a terminal: how far it is';
        like $shown, qr/\r {70}\rimported \d+ manifests [^\r\n]+\r\n\z/,
             'on a terminal: what came of it';
    }
}

$t->done;
