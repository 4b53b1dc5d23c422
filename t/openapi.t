# openapi.yaml is true: answers of both APIs, of every status that it names,
# are held against it.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Digest::SHA qw(hmac_sha256_hex);
use MIME::Base64 qw(encode_base64);

use Exports::Test;

my $t = Exports::Test->new;

my ($python) = grep {
    system("$_ -c 'import yaml; from jsonschema import Draft202012Validator'"
           . ' >/dev/null 2>&1') == 0
} qw(/usr/bin/python3 python3);

die "no python3 with jsonschema and yaml: python3-jsonschema, python3-yaml\n"
    if !$python;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    limit_req_zone $binary_remote_addr zone=few:1m rate=1r/m;
    exports_operation_zone operations:1m;
    exports_operation_zone short:1m idle=1ms;
    exports_rate_zone users:1m;
    exports_rate_zone busy:1m;

    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_redirect s3 /storage/;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    exports_operations operations;
    exports_rate_limit users rate=10000r/m;
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
        location /storage/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_storage%%/;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_storage%%;
        root %%DIR%%/storage;
        location /broken { return 500; }
    }

    server {
        listen 127.0.0.1:%%PORT_short%%;
        exports_operations short;
        location /projects/ { exports_api project; }
    }

    server {
        listen 127.0.0.1:%%PORT_small%%;
        client_max_body_size 8;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_deny%%;
        deny all;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_busy%%;
        limit_req_status 429;
        location /projects/ { exports_api project; limit_req zone=few; }
        location = /api/v3/exports {
            exports_api user;
            exports_rate_limit busy rate=1r/m;
        }
        location /api/v3/exports/ { exports_api user; limit_req zone=few; }
    }

    server {
        listen 127.0.0.1:%%PORT_limited%%;
        limit_req zone=few;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_basic%%;
        auth_basic "somebody";
        auth_basic_user_file %%DIR%%/nobody;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    # what need not be configured
    server {
        listen 127.0.0.1:%%PORT_plain%%;
        exports_rate_limit off;
        exports_operations off;
        etag off;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_damaged%%;
        exports_store %%DIR%%/damaged;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_down%%;
        exports_store %%DIR%%/none;
        location /projects/ { exports_api project; }
        location /api/v3/exports { exports_api user; }
    }
}
EOC


# ---- fixtures

my $key = 'k' x 40;

chmod 0600, $t->write_file('key', "$key\n") or die "chmod: $!";
$t->write_file('nobody', '');
mkdir $t->path($_) or die "mkdir: $!" for 'files', 'storage';

$t->write_file("files/$_", "a,b\n" x 512)
    for 'exp_contacts', 'exp_orders', 'exp_all', 'exp_name', 'u-ready';
$t->write_file("storage/$_", "c,d\n" x 512) for 'stored', 'u-stored';

my %ready = (project => 'example_project');
my %s3 = (storage_backend => 's3');
my %whole = (table => undef, table_count => 3);
my %unready = (status => 'pending', filename => undef, file_size => undef,
               row_count => undef, completed_at => undef);

my $store = $t->store('store',
    project_line(%ready, id => 'exp_contacts'),
    project_line(%ready, id => 'exp_orders', table => 'orders',
                 created_at => '2026-06-02T01:23:45.000001Z'),
    project_line(%ready, id => 'exp_all', %whole, kind => 'database_export',
                 format => 'zip', expires_at => '2999-01-01T00:00:00Z'),
    project_line(%ready, id => 'exp_schema', %whole, kind => 'schema_export',
                 format => 'sql', row_count => undef, size_bytes => undef),
    project_line(%ready, id => 'exp_gone', status => 'not_found',
                 status_reason => 'lost', missing_at => '2026-07-01T00:00:00Z'),
    project_line(%ready, id => 'exp_old',
                 expires_at => '2026-06-03T00:00:00+02:00'),
    project_line(%ready, id => 'exp_name',
                 download_name => "\"\x{e9}\x{2013} \\ \n.csv"),
    project_line(%ready, id => 'exp_stored', %s3, storage_key => 'stored'),
    project_line(%ready, id => 'exp_lost', %s3, storage_key => 'lost'),
    project_line(%ready, id => 'exp_broken', %s3, storage_key => 'broken'),
    project_line(%ready, id => 'exp_nowhere', storage_backend => 'tape'),
    project_line(project => 'other', id => 'exp_other'),

    user_line(uuid => 'u-ready'),
    user_line(uuid => 'u-gone'),
    user_line(uuid => 'u-stored', %s3,
              subject => { type => 'site', id => 7, label => "D\x{e9}pot" }),
    user_line(uuid => 'u-broken', %s3, storage_key => 'broken',
              subject => { type => 'site', id => -8, label => undef }),
    user_line(%unready, uuid => 'u-pending', type => 'meter values &'),
    user_line(%unready, uuid => 'u-processing', status => 'processing'),
    user_line(%unready, uuid => 'u-cancelled', status => 'cancelled'),
    user_line(%unready, uuid => 'u-failed', status => 'failed',
              error_message => 'no such "period"',
              failed_at => '2026-06-02T01:23:46.5Z'));

$t->token($store, project => 'empty', token => 'pat_empty');
$t->token($store, project => 'example_project', token => 'pat_plain');
$t->token($store, project => 'example_project', token => 'pat_admin',
          admin => 1);
$t->token($store, project => 'example_project', token => 'pat_table',
          tables => ['orders']);
$t->token($store, project => 'other', token => 'pat_other');
$t->token($store, project => 'example_project', token => 'pat_inactive',
          active => 0);
$t->token($store, user => 42, token => 'pat_user');
$t->token($store, user => 'nobody', token => 'pat_nobody');
$t->token($store, user => 42, token => 'pat_expired',
          expires_at => '2026-01-01T00:00:00Z');

my $damaged = $t->store('damaged',
    project_line(%ready, id => 'exp_1', download_name => 'findme1'),
    user_line(uuid => 'u-1', filename => 'findme2'));

$t->token($damaged, project => 'example_project', token => 'pat_plain');
$t->token($damaged, user => 42, token => 'pat_user');

{
    my $data = $t->read_file("$damaged/data.mdb");
    open my $fh, '+<:raw', "$damaged/data.mdb" or die "open: $!";
    while ($data =~ /findme/g) {
        seek $fh, $-[0], 0;
        print $fh 'FINDME';
    }
    close $fh or die "close: $!";
}

$t->allow_log(qr/damaged record|left out/, qr{/none\b});
$t->run;


# ---- requests

open my $answers, '>', $t->path('answers') or die "answers: $!";

sub record {
    my ($name, $operation, $uri, $r, %o) = @_;
    my ($query) = $uri =~ /\?(.*)/s;

    print $answers json_text({
        name => $name, operation => $operation, status => 0 + $r->status,
        query => $query, headers => $r->{headers},
        body => encode_base64($r->body, ''),
        unchecked => $o{unchecked} ? 1 : 0,
    }), "\n";
}

# GET and HEAD, or another method; of the first the answer is returned
sub ask {
    my ($name, $path, $uri, %o) = @_;
    my @methods = $o{method} ? $o{method} : ('GET', 'HEAD');
    my @headers = map { $_ => $o{$_} }
        grep { !/^(?:method|port|body|chunk|unchecked)\z/ } sort keys %o;
    my $first;

    for my $method (@methods) {
        my $c = $t->connect($o{port});

        push @headers, 'Transfer-Encoding', 'chunked'
            if $o{chunk} && $method eq $methods[0];

        $c->send(Exports::Test::request_text($method, $uri, @headers,
                     Connection => 'close', defined $o{body}
                         ? ('Content-Length' => length $o{body}) : ()),
                 $o{body} // $o{chunk} // '');

        my $r = $c->response($method);
        record($name, "$method $path", $uri, $r, %o);
        $first //= $r;
    }

    return $first;
}

my $LIST = '/projects/{project}/exports';
my $FILE = '/projects/{project}/export/download/{export_id}';
my $USER_LIST = '/api/v3/exports';
my $USER_FILE = '/api/v3/exports/{uuid}/download';

my $list = '/projects/example_project/exports';
my $file = '/projects/example_project/export/download';
my $user_list = '/api/v3/exports';

sub bearer { Authorization => "Bearer pat_$_[0]" }

sub link_to {
    my ($uuid, $expires) = @_;
    my $path = "/api/v3/exports/$uuid/download?expires="
               . ($expires // time + 600);

    return "$path&signature=" . hmac_sha256_hex($path, $key);
}


# the list of a project

my $r = ask('all', $LIST, $list, bearer('plain'));
my $etag = $r->header('ETag');
is total($r), 11, 'the list of the project';

ask("query $_", $LIST, "$list?$_", bearer('plain'))
    for 'status=ready', 'status=not_found', 'status=all', 'limit=1',
        'limit=500&offset=2', 'offset=9223372036854775807', 'offset=007',
        'status=lost&status=ready&other=', 'limit=3&status=ready&offset=1',
        'status=read%79', 'limit=%35';

ask("bad query $_", $LIST, "$list?$_", bearer('plain'))
    for 'status=lost', 'status', 'status=', 'status=%zz', 'limit=0',
        'limit=501', 'limit=-1', 'limit=', 'limit=1x', 'limit=+1',
        'offset=-1', 'offset=9223372036854775808', 'offset', 'offset=%00',
        'status=ready&limit=x&offset=x', 'status=<script>';

ask('nothing', $LIST, '/projects/empty/exports', bearer('empty'));
ask('the same', $LIST, $list, bearer('plain'), 'If-None-Match' => $etag);
ask('any', $LIST, $list, bearer('plain'), 'If-None-Match' => '*');
ask('no token', $LIST, $list);
ask('no bearer', $LIST, $list, Authorization => 'Basic eDp5');
ask("token $_", $LIST, $list, bearer($_))
    for 'none', 'other', 'inactive', 'user', '"';
ask('no slug', $LIST, '/projects/Example/exports', bearer('plain'));
ask('too far', $LIST, "$list/", bearer('plain'));
ask($_, $LIST, $list, bearer('plain'), method => $_)
    for qw(POST PUT DELETE PATCH OPTIONS);
ask('malformed', $LIST, $list, bearer('plain'), chunk => "zz\r\n",
    unchecked => 1);

# operations

my %run = ('X-Operation-Run-Id' => 'oprun_client_20260602_001');
my %operation = ('X-Operation-Key' => 'edit-profile-email');

my @operations = (
    { %operation }, { %operation }, { %operation, %run }, { %run },
    { 'X-Operation-Key' => 'a b' }, { 'X-Operation-Key' => 'x' x 129 },
    { %operation, 'X-Operation-Run-Id' => "\x{e9}" },
    { 'X-Operation-Key' => '', 'X-Operation-Run-Id' => '' },
);

for (@operations) {
    my $name = join ' ', 'operation', map { substr $_, 0, 30 } %$_;
    ask($name, $LIST, $list, bearer('plain'), %$_);
    ask("$name: an error", $LIST, "$list?limit=0", bearer('plain'), %$_);
    ask("$name: a download refused", $FILE, "$file/exp_all",
        bearer('plain'), %$_);
}

ask('operation, no token', $LIST, $list, %operation);
ask('operation, the same', $LIST, $list, bearer('plain'),
    'If-None-Match' => $etag, %operation, %run);

ok wait_for {
    ask('operation, idle', $LIST, $list, port => 'short', bearer('plain'),
        %operation, %run)->body =~ /"renewed_after_idle"/;
}, 'a run is renewed';

# downloads of a project

$r = ask('a file', $FILE, "$file/exp_contacts", bearer('plain'));
is length $r->body, 2048, 'a file of the project';
my @conditions = (ETag => $r->header('ETag'),
                  Date => $r->header('Last-Modified'));

ask('a file by its table', $FILE, "$file/exp_orders", bearer('table'));
ask('a database', $FILE, "$file/exp_all", bearer('admin'));
ask('a name', $FILE, "$file/exp_name", bearer('plain'));
ask('a database, not as admin', $FILE, "$file/exp_all", bearer('plain'));
ask('another table', $FILE, "$file/exp_contacts", bearer('table'));
ask('a file, grouped', $FILE, "$file/exp_contacts", bearer('plain'),
    %operation);

# of local files and of storage alike

sub conditions {
    my ($name, $path, $uri, @auth) = @_;
    my $whole = ask($name, $path, $uri, @auth);
    my $etag = $whole->header('ETag');
    my $date = $whole->header('Last-Modified');

    is $whole->status, 200, $name;

    ask("$name: $_->[0]: $_->[1]", $path, $uri, @auth, @$_)
        for [Range => 'bytes=0-9'], [Range => 'bytes=-1'],
            [Range => 'bytes=0-9,20-29'],
            [Range => 'bytes=99999-'], ['If-None-Match' => $etag],
            ['If-Modified-Since' => $date], ['If-Match' => '"other"'],
            ['If-Match' => $etag],
            ['If-Unmodified-Since' => 'Thu, 01 Jan 1970 00:00:01 GMT'],
            ['If-Range' => $etag, Range => 'bytes=5-'];
}

conditions('local', $FILE, "$file/exp_contacts", bearer('plain'));
conditions('storage', $FILE, "$file/exp_stored", bearer('plain'));

ask("no file: $_", $FILE, "$file/$_", bearer('admin'))
    for qw(exp_none exp_schema exp_gone exp_old exp_other exp_lost
           exp_nowhere none);
ask('storage failed', $FILE, "$file/exp_broken", bearer('plain'));
ask('no token', $FILE, "$file/exp_contacts");
ask('another token', $FILE, "$file/exp_contacts", bearer('other'));
ask('POST', $FILE, "$file/exp_contacts", bearer('plain'), method => 'POST');
ask('malformed', $FILE, "$file/exp_contacts", bearer('plain'),
    chunk => "zz\r\n", unchecked => 1);

# the list of a user

$r = ask('all', $USER_LIST, $user_list, bearer('user'));
$etag = $r->header('ETag');
is scalar @{ $r->json->{data} }, 8, 'the list of the user';

my %links = map { $_->{uuid} => $_->{download_url} } @{ $r->json->{data} };

ask("query $_", $USER_LIST, "$user_list?$_", bearer('user'))
    for 'filter[status][]=ready', 'filter%5Bstatus%5D%5B%5D=failed&page=1',
        'filter[status][]=ready&filter[status][]=pending&per_page=1',
        'filter[type][]=contacts', 'filter[type][]=meter+values+%26',
        'filter[type][]=none', 'filter[subject_type]=site',
        'filter[subject_id]=7', 'filter[subject_id]=-8&filter[subject_type]=x',
        'filter[subject_id]=-9223372036854775808',
        'page=2', 'page=9223372036854775807', 'per_page=100', 'per_page=3',
        'page=2&per_page=3', 'other=x', 'page=0&page=1',
        join '&', map { "filter[status][]=$_" }
                      qw(pending processing ready failed cancelled);

ask("query $_", $USER_LIST, "$user_list?$_", bearer('user'), unchecked => 1)
    for 'filter[status]=ready,failed', 'filter[status][1]=ready',
        'filter[type]=a,b';

ask("bad query $_", $USER_LIST, "$user_list?$_", bearer('user'))
    for 'filter[status][]=lost', 'filter[status][]=', 'filter[type][]=',
        'filter[subject_type]=', 'filter[subject_id]=x',
        'filter[subject_id]=', 'filter[subject_id]=9223372036854775808',
        'filter[subject_id]=-9223372036854775809',
        'page=0', 'page=-1', 'page=', 'per_page=0', 'per_page=101',
        'per_page=1.5', 'page=x&per_page=x&filter[status][]=x'
        . '&filter[status][]=ready&filter[status][]=y',
        'filter[state]=x', 'filter[state][]=x&page=0', 'filter[<b>"\\]=x';

ask('not UTF-8', $USER_LIST, "$user_list?filter[type][]=%ff", bearer('user'),
    unchecked => 1);
ask('too many combinations', $USER_LIST, "$user_list?" . join('&',
        map { "filter[type][]=$_" } 1 .. 65), bearer('user'), unchecked => 1);

# following the links gives everything once

my (@seen, $next);
for ($next = "$user_list?per_page=3"; $next; ) {
    my $page = ask("page $next", $USER_LIST, $next, bearer('user'))->json;
    push @seen, map { $_->{uuid} } @{ $page->{data} };
    $next = $page->{links}{next};
    $next =~ s{^http://localhost}{} if $next;
}
is "@seen", join(' ', map { $_->{uuid} } @{ $r->json->{data} }),
   'the pages of the user, one after the other';

ask('nothing', $USER_LIST, $user_list, bearer('nobody'));
ask('the same', $USER_LIST, $user_list, bearer('user'),
    'If-None-Match' => $etag);
ask('no token', $USER_LIST, $user_list);
ask("token $_", $USER_LIST, $user_list, bearer($_))
    for 'none', 'expired', 'plain';
ask('too far', $USER_LIST, "$user_list/x", bearer('user'));
ask($_, $USER_LIST, $user_list, bearer('user'), method => $_)
    for qw(POST DELETE);
ask('malformed', $USER_LIST, $user_list, bearer('user'), chunk => "zz\r\n",
    unchecked => 1);

# downloads of a user: the links that the list gives, and links of ours

for my $uuid (qw(u-ready u-stored)) {
    (my $uri = $links{$uuid}) =~ s{^http://localhost}{};
    conditions("link to $uuid", $USER_FILE, $uri);
}

ask("no file: $_", $USER_FILE, link_to($_))
    for qw(u-gone u-none u-pending u-failed);
ask('storage failed', $USER_FILE, link_to('u-broken'));
ask('no such route', $USER_FILE, '/api/v3/exports/u_ready/download');

my $link = link_to('u-ready');
ask('expired', $USER_FILE, link_to('u-ready', time - 10));
ask('altered', $USER_FILE, $link =~ s/expires=(\d)/expires=9$1/r);
ask('of another', $USER_FILE, $link =~ s/u-ready/u-gone/r);
ask('no signature', $USER_FILE, '/api/v3/exports/u-ready/download');
ask('more behind it', $USER_FILE, "$link&x=1");
ask('POST', $USER_FILE, $link, method => 'POST');
ask('malformed', $USER_FILE, $link, chunk => "zz\r\n", unchecked => 1);

# what the server around the APIs does, and stores that fail

my @routes = (
    [$LIST, $list, bearer('plain')],
    [$FILE, "$file/exp_contacts", bearer('plain')],
    [$USER_LIST, $user_list, bearer('user')],
    [$USER_FILE, $link],
);

for (@routes) {
    my ($path, $uri, @auth) = @$_;

    ask('deny', $path, $uri, @auth, port => 'deny');
    ask('down', $path, $uri, @auth, port => 'down');
    ask('too large a body', $path, $uri, @auth, port => 'small',
        body => 'x' x 9);

    # the first is let through, or they are all refused already
    ask('busy', $path, $uri, @auth, port => 'busy') for 1 .. 2;

    ask('limited', $path, $uri, @auth, port => 'limited');
    ask('basic', $path, $uri, @auth, port => 'basic') if $path ne $USER_FILE;
    ask('plain', $path, $uri, @auth, port => 'plain');
    ask('plain, no token', $path, $uri, port => 'plain');
    ask('plain, a bad query', $path, "$uri?limit=0&per_page=0", @auth,
        port => 'plain') if $path eq $LIST || $path eq $USER_LIST;
}

ask('busy, no token', $USER_LIST, $user_list, port => 'busy') for 1 .. 2;

ask('damaged', $LIST, $list, bearer('plain'), port => 'damaged');
ask('damaged', $FILE, "$file/exp_1", bearer('plain'), port => 'damaged');
ask('damaged', $USER_LIST, $user_list, bearer('user'), port => 'damaged');
ask('damaged', $USER_FILE, link_to('u-1'), port => 'damaged');

close $answers or die "answers: $!";


# ---- against the document

sub validator {
    my ($document) = @_;

    open my $pipe, '-|', "$python -W ignore $FindBin::Bin/lib"
        . "/validate_openapi.py $document ${\ $t->path('answers')} 2>&1"
        or die "$python: $!";

    return $pipe;
}

sub results {
    my ($pipe) = @_;
    my $out = do { local $/; readline $pipe };

    close $pipe or die $out;

    return map { [/^(not )?ok - (.*)\n(.*)/s] } split /^(?=(?:not )?ok - )/m,
                                                      $out;
}

ok !$_->[0], $_->[1] or diag $_->[2]
    for results(validator($t->top . '/openapi.yaml'));

# a document that is not true is found out

my $document = $t->read_file($t->top . '/openapi.yaml');

my @untrue = (
    ['a key more', qr/(size_bytes, )(status, status_reason)/, '$1x, $2'],
    ['a key less', qr/^ {8}label:\n.*\n/m, ''],
    ['another order', qr/( {8}file_size:\n.*\n)( {8}row_count:\n.*\n)/,
     '$2$1'],
    ['another enumeration', qr/, database_export, /, ', '],
    ['a narrower pattern', qr/\{1,124\}\$/, '{1,5}$'],
    ['a lower maximum', qr/maximum: 500/, 'maximum: 499'],
    ['a status less', qr/^ {8}'416':\n.*\n/m, ''],
    ['a status more', qr/^( {8})'416'(:\n.*\n)/m, '$1\'416\'$2$1\'418\'$2'],
    ['a header less', qr/^ {8}Allow:\n.*\n/m, ''],
    ['a header more', qr/^( {8})Allow(:\n.*\n)/m, '$1Allow$2$1Location$2'],
    ['another header', qr/const: no-store/, 'const: no-cache'],
    ['another code', qr/enum: \[internal_error\]/, 'enum: [error]'],
    ['a code that never comes', qr/enum: \[forbidden\]/,
     'enum: [forbidden, denied]'],
    ['another message', qr/const: Unauthenticated/, 'const: Unauthorized'],
    ['another type', qr{application/json:}, 'text/html:'],
    ['a reference to nothing', qr{schemas/Slug'}, 'schemas/Slag\''],
    ['an example of something else', qr/^ {20}- id: exp_/m,
     (' ' x 20) . '- id: '],
);

for my $i (0 .. $#untrue) {
    my ($name, $pattern, $new) = @{ $untrue[$i] };
    my $changed = $document;

    $changed =~ s{$pattern}{
        my ($one, $two) = ($1, $2);
        $new =~ s/\$([12])/$1 == 1 ? $one : $two/ger;
    }e or die "$name: nothing to change";

    push @{ $untrue[$i] },
        validator($t->write_file("untrue$i.yaml", $changed));
}

for (@untrue) {
    my ($name, $pipe) = @$_[0, 3];
    my @found = grep { $_->[0] } eval { results($pipe) };

    ok @found || $@, "found out: $name";
}

$t->done;
done_testing;
