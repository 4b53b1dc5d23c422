# Downloads of the project API: who may have what, what comes with the bytes,
# ranges, conditions, and errors that stay JSON.

use warnings;
use strict;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA 'sha1_hex';
use Encode 'encode';
use Test::More;

use Exports::Test;

plan tests => 359;

my $t = Exports::Test->new;

my $threads = `$t->{nginx} -V 2>&1` =~ /--with-threads/
                  ? 'aio threads;' : 'aio off;';

$t->conf(<<'EOC' =~ s/%%THREADS%%/$threads/gr);
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files/;
    exports_operation_zone runs:1m;
    charset_map koi8-r utf-8 { C1 D0B0; }
    charset_map koi8-r iso-8859-5 { C1 D0; }
    lingering_timeout 100ms;
    error_page 403 404 412 416 500 /error.html;

    server {
        listen 127.0.0.1:%%PORT%%;

        location = /error.html { internal; return 200 "error page\n"; }
        location /projects/ { exports_api project; }

        location /sendfile/ { exports_api project; sendfile on; }
        location /threads/ { exports_api project; sendfile on; %%THREADS%% }
        location /directio/ { exports_api project; directio 1m; %%THREADS%% }
        location /ahead/ { exports_api project; read_ahead 64k; }

        location /seen/ {
            exports_api project;
            add_header X-Seen all always;
            add_header X-Good some;
            expires 1h;
        }
        location /plain/ { exports_api project; etag off; max_ranges 0; }
        location /gzip/ {
            exports_api project;
            gzip on;
            gzip_types text/csv application/json;
            gzip_min_length 1;
        }
        location /charset/ {
            exports_api project;
            charset koi8-r;
            source_charset utf-8;
            charset_types text/csv text/plain application/json;
        }
        location /override/ {
            exports_api project;
            charset koi8-r;
            source_charset iso-8859-5;
            override_charset on;
            charset_types text/csv;
        }
        location /runs/ { exports_api project; exports_operations runs; }

        location /noroot/ { exports_api project; exports_root %%DIR%%/none; }
        location /pages/ {
            exports_api project;
            error_page 500 = @app;
        }
        location /down/ { exports_api project; exports_store %%DIR%%/down; }
        location /fallback/ {
            exports_api project;
            exports_store %%DIR%%/down;
            exports_fallback @app;
        }
        location @app { return 200 "application\n"; }
        location /handing/ { proxy_pass http://127.0.0.1:%%PORT_bare%%; }

        location = /ssi {
            ssi on;
            ssi_types *;
            root %%DIR%%/pages;
            try_files /ssi =500;
        }
        location = /auth {
            auth_request /projects/demo/export/download/exp_table;
            root %%DIR%%/pages;
            try_files /page =500;
        }
    }

    server {
        listen 127.0.0.1:%%PORT_bare%%;
        root %%DIR%%/files;

        location ~ ^/handing(?<path>/.*) {
            add_header X-Accel-Redirect $path;
            add_header Content-Disposition "inline; filename=theirs";
            add_header Set-Cookie theirs=1;
            add_header Accept-Ranges bytes;
            expires max;
            add_header Cache-Control immutable;
            return 200;
        }
    }
}
EOC

mkdir $t->path('files');
mkdir $t->path('files/deep');
mkdir $t->path('pages');

my $text = join '', map { "$_,a line of a table\n" } 1 .. 400;
my $big = join '', map { pack 'N4', map { $_ * 2654435761 % 2**32 } $_, $_ + 1,
                             $_ * 3, $_ ^ 12345 } 1 .. 250_000;
my %files = (
    'contacts.csv' => $text, 'orders.csv' => "orders\n", 'all.zip' => "all\n",
    'schema.sql' => "schema\n", 'deep/er.csv' => "deeper\n", empty => '',
    big => $big, letter => "\xd0\xb0", exp_by_id => "by its id\n",
    'a b+ü%20?#.csv' => "odd\n",
);

$t->write_file('files/' . encode('UTF-8', $_), $files{$_}) for keys %files;
utime 1_700_000_000, 1_700_000_000, $t->path('files/contacts.csv');

# a letter in UTF-8, and in koi8-r: what leaves with "charset", and with
# "override_charset" too

my @charsets = (
    [none => 'text/csv', "\xc1", "\xc1?"],
    [other => 'text/csv; header=present', "\xc1", "\xc1?"],
    [named => 'text/csv; charset=utf-8', "\xd0\xb0", "\xc1"],
    [first => 'text/csv; charset=utf-8; header=present', "\xd0\xb0", "\xc1"],
    [quoted => 'text/csv; charset="utf-8"; header=present', "\xd0\xb0",
     "\xc1"],
    [last => 'text/csv; header=present;CharSet=utf-8', "\xd0\xb0", "\xc1"],
    [blank => 'text/csv ;charset=utf-8 ;header=present', "\xd0\xb0", "\xc1"],
);

my %manifests = (
    table => { storage_key => 'contacts.csv' },
    orders => { table => 'orders', storage_key => 'orders.csv' },
    db => { kind => 'database_export', table => undef, format => 'zip',
            storage_key => 'all.zip', content_type => 'application/zip',
            download_name => 'all.zip' },
    schema => { kind => 'schema_export', table => undef, format => 'sql',
                storage_key => 'schema.sql' },
    db_expired => { kind => 'database_export', table => undef,
                    storage_key => 'all.zip',
                    expires_at => '2026-06-03T00:00:00Z' },
    db_gone => { kind => 'database_export', table => undef,
                 status => 'not_found' },
    db_missing => { kind => 'database_export', table => undef,
                    storage_key => 'nothing' },
    expired => { storage_key => 'contacts.csv',
                 created_at => '2020-01-01T00:00:00Z',
                 expires_at => '2020-01-02T00:00:00.000001Z' },
    later => { storage_key => 'contacts.csv',
               expires_at => '9999-12-31T23:59:59Z' },
    gone => { status => 'not_found', storage_key => 'contacts.csv' },
    missing => { storage_key => 'nothing' },
    nowhere => { storage_backend => 'tape' },
    deep => { storage_key => 'deep/er.csv' },
    odd => { storage_key => 'a b+ü%20?#.csv' },
    empty => { storage_key => 'empty' },
    big => { storage_key => 'big' },
    by_id => {},
    (map { ("charset_$_->[0]" => { storage_key => 'letter',
                                   content_type => $_->[1] }) } @charsets),
);

$manifests{db_expired}{expires_at} = '2020-01-02T00:00:00Z';
$manifests{db_expired}{created_at} = '2020-01-01T00:00:00Z';

my @names = (
    ['contacts.csv' => 'filename="contacts.csv"'],
    ["two words; a=b, (1) 100%.csv" =>
         'filename="two words; a=b, (1) 100%.csv"'],
    ['say "hi".csv' => 'filename="say \"hi\".csv"'],
    ['C:\dir\x.csv' => 'filename="C:\\\\dir\\\\x.csv"'],
    ['"' => 'filename="\""'], ['\\' => 'filename="\\\\"'],
    ["Größe.csv" =>
         q{filename="Gr__e.csv"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv}],
    ["日本 語\".csv" => q{filename="__ _\".csv"; }
         . q{filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%E8%AA%9E%22.csv}],
    ["\x{1f600}'*()%.csv" => q{filename="_'*()%.csv"; }
         . q{filename*=UTF-8''%F0%9F%98%80%27%2A%28%29%25.csv}],
    ["a\r\nSet-Cookie: x=1\r\n\r\nb.csv" =>
         'filename="a__Set-Cookie: x=1____b.csv"'],
    ["tab\there\x7f\x01.csv" => 'filename="tab_here__.csv"'],
    ["\x{85}next\x{9f}é\n.csv" =>
         q{filename="_next___.csv"; filename*=UTF-8''_next_%C3%A9_.csv}],
    ['x' x 1024 => 'filename="' . 'x' x 1024 . '"'],
    ['é' x 512 => 'filename="' . '_' x 512 . q{"; filename*=UTF-8''}
         . '%C3%A9' x 512],
    ['"' x 1024 => 'filename="' . '\"' x 1024 . '"'],
);

my @types = (
    ['application/zip' => 'application/zip'],
    ['text/csv;charset=UTF-8' => 'text/csv;charset=UTF-8'],
    ['text/csv; charset="utf-8"; header=present' =>
         'text/csv; charset="utf-8"; header=present'],
    ['text/csv; header=absent' => 'text/csv; header=absent'],
    ['text/schön' => 'application/octet-stream'],
    ['; charset=' => '; charset='], [';' => ';'], ['x' x 1024 => 'x' x 1024],
);

for my $i (0 .. $#names) {
    $manifests{"name$i"} = { storage_key => 'contacts.csv',
                             download_name => $names[$i][0] };
}
for my $i (0 .. $#types) {
    $manifests{"type$i"} = { storage_key => 'contacts.csv',
                             content_type => $types[$i][0] };
}

my $store = $t->store('store', (map { project_line(project => 'demo',
        id => "exp_$_", %{ $manifests{$_} }) } sort keys %manifests),
    project_line(project => 'other', id => 'exp_other'));

my %token = (
    plain => $t->token($store, project => 'demo'),
    contacts => $t->token($store, project => 'demo', tables => ['contacts']),
    several => $t->token($store, project => 'demo',
                         tables => ['orders', 'contacts']),
    admin => $t->token($store, project => 'demo', admin => 1),
    other => $t->token($store, project => 'other', admin => 1),
    expired => $t->token($store, project => 'demo', admin => 1,
                         expires_at => '2020-01-01T00:00:00Z'),
    inactive => $t->token($store, project => 'demo', admin => 1, active => 0),
    unknown => 'pat_nobody_has_seen',
);

$t->write_file('pages/page', "page\n");
$t->write_file('pages/ssi', join '|', map {
    "<!--# include virtual=\"/projects/demo/export/download/exp_$_\" -->"
    } qw(orders empty missing deep));

$t->run;

sub uri { my ($id, $at) = @_;
          return '/' . ($at // 'projects') . "/demo/export/download/exp_$id" }

sub auth { return (Authorization => "Bearer $token{ $_[0] }") }

sub fetch { my ($id, @headers) = @_;
            return $t->get(uri($id), auth('admin'), @headers) }

sub is_bytes {
    my ($r, $bytes, $name) = @_;
    my $ok = $r->status == 200 && $r->body eq $bytes;
    return ok($ok, $name) || diag $r->status, ' ', substr $r->raw, 0, 1000;
}

my @errors_lack = qw(ETag Last-Modified Content-Disposition Accept-Ranges
                     X-Content-Type-Options Content-Encoding);


# ---- who may have what -----------------------------------------------------

my %missing = (401 => 'missing_authorization');

is_error $t->get(uri('table')), 401, 'missing_authorization', 'no token';
is_error $t->get(uri('nothing')), 401, 'missing_authorization',
         'no token, no export';
is_error $t->get(uri('table'), Authorization => 'Basic dTpw'), 401,
         'missing_authorization', 'another scheme';

for my $kind (qw(unknown other expired inactive)) {
    is_error $t->get(uri($_), auth($kind)), 401, 'invalid_token',
             "token $kind: $_" for qw(table nothing expired missing);
}

my %may = (
    plain => [qw(table orders later empty)],
    contacts => [qw(table later empty)],
    several => [qw(table orders)],
    admin => [qw(table orders db schema later)],
);
my %may_not = (
    plain => [qw(db schema db_expired db_gone db_missing)],
    contacts => [qw(orders db schema db_expired db_gone db_missing)],
    several => [qw(db schema)],
    admin => [],
);

for my $kind (sort keys %may) {
    is $t->get(uri($_), auth($kind))->status, 200, "token $kind: $_"
        for @{ $may{$kind} };
    is_error $t->get(uri($_), auth($kind)), 403, 'permission_denied',
             "token $kind: not $_" for @{ $may_not{$kind} };
}

is $t->get(uri('db'), auth('plain'))->json->{error}{message},
   'The token lacks the project admin permission.', 'says which: admin';
is $t->get(uri('orders'), auth('contacts'))->json->{error}{message},
   'The token lacks the record-read permission for this table.',
   'says which: the table';

for my $kind (qw(plain contacts admin)) {
    is_error $t->get(uri($_), auth($kind)), 404, 'not_found',
             "token $kind: $_ is unknown" for qw(nothing other TABLE);
}

for (['nothing', 'There is no such export.'],
     ['expired', 'This export has expired.'],
     ['gone', 'The file of this export is missing.'],
     ['missing', 'The file of this export is missing.'],
     ['nowhere', 'The file of this export is missing.'],
     ['db_expired', 'This export has expired.'],
     ['db_gone', 'The file of this export is missing.'],
     ['db_missing', 'The file of this export is missing.'])
{
    my ($id, $message) = @$_;
    is_error fetch($id), 404, 'not_found', $message, "404: $id";
}

my $log = $t->error_log;
like $log, qr{\[error\] .*\Q@{[$t->path('files/nothing')]}\E" failed \(2: },
     'a missing file is logged';
like $log, qr{\[error\] .*no "exports_redirect" for the backend "tape"},
     'a backend without a redirect is logged';

is_error $t->request($_, uri('table'), auth('admin')), 405,
         'method_not_allowed', $_ for qw(POST PUT DELETE OPTIONS);
is_error $t->get($_, auth('admin')), 404, 'not_found', $_
    for uri('table/'), uri('ta%2Fble'), uri('t%0A'), uri('../files/empty'),
        '/projects/demo/export/download/x', '/projects/demo/export/exp_table',
        '/projects/demo/exports/download/exp_table';


# ---- what comes with the bytes ---------------------------------------------

my $r = fetch('table');
my $etag = sprintf '"%x-%x"', 1_700_000_000, length $text;
is_bytes $r, $text, 'the bytes';
is $r->header('Content-Length'), length $text, 'Content-Length';
is $r->header('Content-Type'), 'text/csv; charset=utf-8', 'Content-Type';
is $r->header('Content-Disposition'), 'attachment; filename="contacts.csv"',
   'Content-Disposition';
is $r->header('ETag'), $etag, 'ETag';
is $r->header('Last-Modified'), 'Tue, 14 Nov 2023 22:13:20 GMT',
   'Last-Modified';
is $r->header('Accept-Ranges'), 'bytes', 'Accept-Ranges';
is $r->header('X-Content-Type-Options'), 'nosniff', 'nosniff';
is $r->header('Cache-Control'), 'private, no-cache', 'Cache-Control';
like $r->header('X-Request-Id'), qr/^$Exports::Test::REQUEST_ID\z/,
     'X-Request-Id';
is_deeply [sort grep { $_ ne 'connection' } split ' ', $r->header_names],
          [sort qw(server date content-type content-length
                   last-modified etag content-disposition accept-ranges
                   x-content-type-options cache-control x-request-id)],
          'these headers, each once';

my $bare = $t->get('/contacts.csv', port => 'bare');
is $r->header($_), $bare->header($_), "$_: nginx's own of the file"
    for qw(ETag Last-Modified Content-Length);

is_bytes fetch($_), $files{ $manifests{$_}{storage_key} // "exp_$_" },
         "the bytes of $_" for qw(orders db schema deep odd by_id later);

for my $i (0 .. $#names) {
    my ($name, $value) = @{ $names[$i] };
    my $r = fetch("name$i");
    my $label = encode 'UTF-8', substr $name, 0, 20;
    is $r->header('Content-Disposition'), "attachment; $value",
       'name: ' . $label =~ s/[\x00-\x1f]/./gr;
    is $r->header('Set-Cookie'), undef, 'no header in it' if $name =~ /Cookie/;
}

for my $i (0 .. $#types) {
    my ($type, $value) = @{ $types[$i] };
    is fetch("type$i")->header('Content-Type'), $value,
       'type: ' . encode 'UTF-8', substr $type, 0, 40;
}

$r = fetch('empty');
is_bytes $r, '', 'an empty file';
is $r->header('Content-Length'), 0, 'an empty file: its length';
is $t->request('HEAD', uri('empty'), auth('admin'))->status, 200,
   'an empty file: HEAD';

for my $id (qw(table empty big)) {
    my $get = fetch($id);
    my $head = $t->request('HEAD', uri($id), auth('admin'));
    my @same = map { [grep { $_->[0] !~ /date|x-request-id/ }
                      @{ $_->{headers} }] } $get, $head;
    is_deeply $same[1], $same[0], "HEAD of $id: the same headers";
    is $head->body, '', "HEAD of $id: no body";
}

for (qw(nothing db_gone missing)) {
    $r = $t->request('HEAD', uri($_), auth('admin'));
    is $r->status . $r->body, 404, "HEAD of $_";
}

like $t->http('GET ' . uri('table') . " HTTP/1.0\r\n"
              . 'Authorization: Bearer ' . $token{admin} . "\r\n\r\n"),
     qr{^HTTP/1\.1 200 .*Connection: close\r\n.*\r\n\r\n\Q$text\E\z}s,
     'HTTP/1.0';


# ---- ranges ----------------------------------------------------------------

my $n = length $text;

for (['0-0', 0, 0], ['0-99', 0, 99], ['100-', 100, $n - 1],
     ['-50', $n - 50, $n - 1], ['-99999999', 0, $n - 1],
     [($n - 1) . '-', $n - 1, $n - 1], ['10-99999999', 10, $n - 1])
{
    my ($range, $from, $to) = @$_;
    $r = fetch('table', Range => "bytes=$range");
    is $r->status, 206, "range $range";
    is $r->body, substr($text, $from, $to - $from + 1), "range $range: bytes";
    is $r->header('Content-Range'), "bytes $from-$to/$n",
       "range $range: Content-Range";
}

is $r->header('Content-Disposition'), 'attachment; filename="contacts.csv"',
   'a range has the headers of the whole';

$r = fetch('table', Range => 'bytes=0-4,100-104,-3');
is $r->status, 206, 'several ranges';
like $r->header('Content-Type'), qr{^multipart/byteranges; boundary=},
     'several ranges: multipart';
my ($boundary) = $r->header('Content-Type') =~ /boundary=(\S+)/;
my @parts = split /\r\n--\Q$boundary\E(?:--)?\r\n/, $r->body;
is scalar(@parts), 4, 'three parts';
like $parts[$_->[0]], qr{^Content-Type:\ text/csv;\ charset=utf-8\r\n
    Content-Range:\ bytes\ \Q$_->[1]/$n\E\r\n\r\n\Q$_->[2]\E\z}x,
    "part $_->[0]" for [1, '0-4', substr $text, 0, 5],
        [2, '100-104', substr $text, 100, 5],
        [3, ($n - 3) . '-' . ($n - 1), substr $text, -3];

$r = fetch('big', Range => 'bytes=3000000-3000099,10-19');
like $r->body, qr/\Q@{[substr $big, 3_000_000, 100]}\E/,
     'several ranges of a big file';

for my $range ("bytes=$n-", 'bytes=99999999-', 'bytes=5-4', 'bytes=x') {
    for my $method (qw(GET HEAD)) {
        $r = $t->request($method, uri('table', 'seen'), auth('admin'),
                         Range => $range);
        is $r->status, 416, "$method $range";
        is $r->header('Content-Range'), "bytes */$n", "$method $range: range";
        is join(' ', grep { defined $r->header($_) } @errors_lack), '',
           "$method $range: nothing left of the file";
        is join(',', $r->headers('X-Seen'), $r->headers('X-Good')), 'all',
           "$method $range: headers of the configuration";
        is $r->header('Expires'), undef, "$method $range: no Expires";
        next if $method eq 'HEAD';
        is_error $r, 416, 'range_not_satisfiable', "$range: JSON";
    }
}

is fetch('table', Range => $_)->status, 200, "no range: $_"
    for 'lines=1-2', 'bytes', '';
is_error fetch('missing', Range => 'bytes=0-'), 404, 'not_found',
         'a range of nothing';
is fetch('empty', Range => 'bytes=0-0')->status, 200,
   'a range of an empty file';
is $t->get(uri('table', 'plain'), auth('admin'), Range => 'bytes=0-1')->status,
   200, 'max_ranges 0';


# ---- conditions ------------------------------------------------------------

my $when = 'Tue, 14 Nov 2023 22:13:20 GMT';
my $before = 'Tue, 14 Nov 2023 22:13:19 GMT';

for (['If-None-Match', $etag], ['If-None-Match', '*'],
     ['If-None-Match', "\"x\", W/$etag"], ['If-Modified-Since', $when])
{
    my ($name, $value) = @$_;
    for my $method (qw(GET HEAD)) {
        $r = $t->request($method, uri('table'), auth('admin'), $name, $value);
        is $r->status . $r->body, 304, "$method $name: $value";
        is $r->header('ETag'), $etag, "$method $name: ETag";
        is $r->header('Cache-Control'), 'private, no-cache',
           "$method $name: Cache-Control";
        is $r->header('Content-Length') // 'none', 'none',
           "$method $name: no length";
    }
}

is_error fetch($_, 'If-None-Match' => '*'), 404, 'not_found',
         "If-None-Match of $_" for qw(missing gone expired nothing);
is_error $t->get(uri('table'), 'If-None-Match' => $etag), 401,
         'missing_authorization', 'If-None-Match without a token';
is_error $t->get(uri('db'), auth('plain'), 'If-None-Match' => '*'), 403,
         'permission_denied', 'If-None-Match without permission';

for (['If-Match', '"x"'], ['If-Unmodified-Since', $before],
     ['If-Match', "W/$etag"])
{
    my ($name, $value) = @$_;
    $r = $t->get(uri('table', 'seen'), auth('admin'), $name, $value);
    is_error $r, 412, 'precondition_failed', "$name: $value";
    is join(' ', grep { defined $r->header($_) } @errors_lack), '',
       "$name: nothing left of the file";
    is join(',', $r->headers('X-Seen'), $r->headers('X-Good')), 'all',
       "$name: headers of the configuration";
    $r = $t->request('HEAD', uri('table'), auth('admin'), $name, $value);
    is $r->status . $r->body, 412, "HEAD $name: $value";
}

my $c = $t->connect;
is $c->get(uri('table'), auth('admin'), 'If-Match' => '"x"')->status, 412,
   "connection kept: $_" for 1 .. 3;
is_bytes $c->get(uri('table'), auth('admin')), $text, 'and good for the next';
is_bytes $c->get(uri('table'), auth('admin'), 'If-Match' => $etag), $text,
         'whose condition holds';

is_bytes fetch('table', @$_), $text, "@$_: 200"
    for ['If-Match', $etag], ['If-Match', '*'], ['If-None-Match', '"x"'],
        ['If-Modified-Since', $before], ['If-Unmodified-Since', $when],
        ['If-Range', '"x"', 'Range', 'bytes=0-9'],
        ['If-Range', $before, 'Range', 'bytes=0-9'];
is fetch('table', 'If-Range', $_, 'Range', 'bytes=0-9')->body,
   substr($text, 0, 10), "If-Range: $_: a range" for $etag, $when;

$r = $t->get(uri('table', 'plain'), auth('admin'));
is $r->header('ETag'), undef, 'etag off';
is_bytes $r, $text, 'etag off: the bytes';

$t->write_file('files/new', "another\n");
rename $t->path('files/new'), $t->path('files/orders.csv');
is_bytes fetch('orders', 'If-None-Match' => $etag), "another\n",
         'a file that was replaced';


# ---- how it is sent --------------------------------------------------------

for my $at (qw(projects sendfile threads directio ahead plain)) {
    $r = $t->get(uri('big', $at), auth('admin'));
    is $r->status . ' ' . sha1_hex($r->body), '200 ' . sha1_hex($big),
       "$at: a big file";
    $r = $t->get(uri('big', $at), auth('admin'), Range => 'bytes=-1500000');
    is sha1_hex($r->body), sha1_hex($at eq 'plain' ? $big
                                                   : substr $big, -1_500_000),
       "$at: the end of it";
    is_bytes $t->get(uri('empty', $at), auth('admin')), '',
             "$at: an empty one";
}

$r = $t->get(uri('table', 'gzip'), auth('admin'), 'Accept-Encoding' => 'gzip');
is $r->header('Content-Encoding'), 'gzip', "nginx's gzip filter";
is $r->header('Content-Disposition'), 'attachment; filename="contacts.csv"',
   'gzip: still a file';
$r = $t->get(uri('table', 'gzip'), auth('admin'), 'Accept-Encoding' => 'gzip',
             'If-Match' => '"x"');
is $r->status, 412, 'gzip: a condition that does not hold';

is $t->get(uri('type0', 'charset'), auth('admin'))->header('Content-Type'),
   'application/zip', 'charset: of none';
$r = $t->get(uri('table', 'charset'), auth('admin'));
is $r->header('Content-Type'), 'text/csv; charset=utf-8',
   'charset: as the manifest says';
is_bytes $r, $text, 'charset: the bytes';

# one that is named, wherever in the type, goes before source_charset; without
# override_charset it keeps the bytes as they are, and the type

for (@charsets) {
    my ($id, $type, $charset, $override) = @$_;

    $r = $t->get(uri("charset_$id", 'charset'), auth('admin'));
    is $r->header('Content-Type'), $type =~ /charset/i ? $type
                                   : 'text/csv; charset=koi8-r',
       "charset: $id: the type";
    is_bytes $r, $charset, "charset: $id";
    is_bytes $t->get(uri("charset_$id", 'override'), auth('admin')), $override,
             "override_charset: $id";
}


# ---- many on one connection ------------------------------------------------

my @asked = map {
    my $id = (qw(table big missing empty orders db))[$_ % 6];
    [$_ % 5 ? 'GET' : 'HEAD', $id, $_ % 4 ? () : (Range => 'bytes=2-5')]
} 0 .. 59;

$c = $t->connect;
$c->send(map { my ($method, $id, @headers) = @$_;
               Exports::Test::request_text($method, uri($id), auth('admin'),
                                           @headers) } @asked);
my @faults;
for (@asked) {
    my ($method, $id, @range) = @$_;
    my $r = $c->response($method);
    my $bytes = $id eq 'missing' ? undef
              : $id eq 'orders' ? "another\n"
              : $files{ $manifests{$id}{storage_key} };
    my $status = !defined $bytes ? 404 : @range && $id ne 'empty' ? 206 : 200;
    my $body = $method eq 'HEAD' ? ''
             : !defined $bytes ? $r->body
             : @range && length $bytes ? substr $bytes, 2, 4
             : $bytes;
    push @faults, "@$_: " . $r->status
        if $r->status != $status || $r->body ne $body;
}
is "@faults", '', 'a pipeline';
$c->close;

$c = $t->connect;
for my $body ('x' x 10, 'x' x 100_000, "GET / HTTP/1.1\r\n\r\n" x 10) {
    $c->send(Exports::Test::request_text('GET', uri('table'), auth('admin'),
                 'Content-Length' => length $body), $body);
    is_bytes $c->response, $text, 'with a body of ' . length $body;
}
is_bytes $c->get(uri('orders'), auth('admin')), "another\n",
         'and the next request';
$c->close;

# a client that leaves in the middle

for (1 .. 5) {
    $c = $t->connect;
    $c->send(Exports::Test::request_text('GET', uri('big'), auth('admin')));
    $c->_until(sub { length $c->{in} > 1000 });
    $c->close;
}
is fetch('big')->status, 200, 'clients that leave';


# ---- around it -------------------------------------------------------------

is_error $t->get(uri('table', 'noroot'), auth('admin')), 404, 'not_found',
         'the root is missing';
like $t->error_log, qr/\[error\] .*\Q@{[$t->path('none')]}\E" failed \(2: /,
     'the root is missing: logged';

$r = $t->get(uri('table', 'down'), auth('admin'));
is_error $r, 503, 'store_unavailable', 'no store';
is $r->header('Retry-After'), 1, 'no store: Retry-After';
is_error $t->get(uri('table', 'down')), 401, 'missing_authorization',
         'no store: no token';
is $t->get(uri('table', 'fallback'), auth('admin'))->body, "application\n",
   'no store: the fallback';

$r = $t->get(uri('table', 'runs'), auth('admin'), 'X-Operation-Key' => 'k');
is_bytes $r, $text, 'an operation: bytes';
for (['missing', 'admin', 404], ['db', 'plain', 403],
     ['nothing', 'plain', 404])
{
    my ($id, $kind, $status) = @$_;
    $r = $t->get(uri($id, 'runs'), auth($kind), 'X-Operation-Key' => 'k');
    is $r->status . ' ' . $r->json->{operation_key}, "$status k",
       "an operation: $id";
}
$r = $t->get(uri('table', 'runs'), auth('admin'), 'X-Operation-Key' => 'k',
             Range => "bytes=$n-");
is $r->status . ' ' . $r->json->{operation_key}, '416 k', 'an operation: 416';
$r = $t->get(uri('table', 'runs'), auth('unknown'), 'X-Operation-Key' => 'k');
is_error $r, 401, 'invalid_token', 'an operation of nobody';

$r = $t->get('/ssi', auth('admin'));
like $r->body, qr/^another\n\|\|\{"ok":false.*"not_found".*\}\|deeper\n\z/s,
     'ssi';
is $t->get('/auth', auth('admin'))->body, "page\n", 'auth_request';
is $t->get('/auth')->status, 401, 'auth_request: refused';

# an application hands over by X-Accel-Redirect: of one name there is ours only

for (['/projects/demo/exports', 200, 'private, no-cache', undef],
     [uri('table'), 200, 'private, no-cache',
      'attachment; filename="contacts.csv"'],
     [uri('missing'), 404, 'no-store', undef],
     ['/projects/nothing', 404, 'no-store', undef])
{
    my ($uri, $status, $cache, $disposition) = @$_;
    $r = $t->get("/handing$uri", auth('admin'));
    is $r->status, $status, "X-Accel-Redirect: $uri";
    is_deeply [map { [$r->headers($_)] } 'Cache-Control', 'Expires',
                   'Content-Disposition', 'Set-Cookie', 'Accept-Ranges'],
        [[$cache], [], [$disposition // ()], ['theirs=1'],
         [defined $disposition ? 'bytes' : ()]],
        "X-Accel-Redirect: $uri: headers";
}

# no descriptor is left for the file: 500 of ours, not the error_page's

SKIP: {
    my $client = $t->connect;
    my $limit = sub {
        my ($n) = @_;
        return !grep { system("prlimit --pid $_ --nofile=$n: 2>/dev/null") } $t->workers;
    };

    is_bytes $client->get(uri('table', 'pages'), auth('admin')), $text,
             'a file that can be opened';

    skip 'no prlimit here', 1 if !$limit->(1);

    $r = $client->get(uri('table', 'pages'), auth('admin'));
    $limit->(1024);
    is_error $r, 500, 'internal_error', 'a file that cannot be opened';
}

$t->allow_log(qr/failed \(24: /);
$t->done;
