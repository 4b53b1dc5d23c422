# Artifacts of other backends: what object storage is asked, and what of its
# answers reaches the client.

use warnings;
use strict;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode 'encode';
use IO::Socket::INET;
use POSIX ();
use Test::More;

use Exports::Test;

plan tests => 246;

my $t = Exports::Test->new;

# an object storage: what it answers is in the name of the object

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
                                   Proto => 'tcp') or die "listen: $@";
$t->{ports}{origin} = $listen->sockport;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_redirect s3 /s3/;
    exports_redirect gs /gs-;
    exports_redirect whole /whole/;
    exports_redirect slow /slow/;
    exports_redirect refused /refused/;
    exports_redirect files /files/;
    exports_redirect cached /cached/;
    exports_redirect mirrored /mirrored/;
    exports_redirect zipped /zipped/;
    exports_redirect denied /denied/;
    exports_redirect returned /returned/;
    exports_redirect nowhere /nowhere/;
    exports_redirect loop /projects/demo/export/download/;
    exports_redirect again /again/;

    exports_operation_zone runs:1m;
    log_format status '$request_method $uri $status $exports_error';
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    limit_req_zone $http_authorization$http_proxy_authorization
                   zone=tokens:1m rate=100r/s;
    limit_req_zone $http_cookie$cookie_session zone=sessions:1m rate=100r/s;
    proxy_buffer_size 8k;
    lingering_timeout 100ms;
    error_page 302 400 401 403 404 412 416 500 502 504 =200 /error.html;

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log status;

        location = /error.html { return 200 "error page\n"; }
        location /projects/ { exports_api project; }
        location /runs/ { exports_api project; exports_operations runs; }
        location /limited/ {
            exports_api project;
            limit_req zone=tokens burst=100 nodelay;
            limit_req zone=sessions burst=100 nodelay;
        }
        location /some/ {
            exports_api project;
            exports_redirect other /s3/;
        }

        location ^~ /s3/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/;
        }
        location ^~ /gs- {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/bucket-;
        }
        location ^~ /whole/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host storage.example;
            proxy_set_header X-Client
                             $http_authorization$http_proxy_authorization;
            proxy_set_header X-Client-Cookies $http_cookie$cookie_session;
            proxy_intercept_errors on;
            proxy_buffering off;
            proxy_pass_header Server;
            proxy_pass_header Date;
            charset koi8-r;
        }
        location ^~ /slow/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/;
            proxy_read_timeout 200ms;
        }
        location ^~ /refused/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_refused%%/;
        }
        location ^~ /files/ { internal; root %%DIR%%; }
        location ^~ /cached/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/;
            proxy_cache cache;
            proxy_cache_valid 200 404 1h;
            proxy_ignore_headers Set-Cookie Cache-Control Expires Vary;
            add_header X-Cache $upstream_cache_status always;
        }
        location ^~ /mirrored/ {
            internal;
            mirror /projects/demo/exports;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/;
        }
        location ^~ /zipped/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_origin%%/;
            gzip on;
            gzip_types text/csv;
            gzip_min_length 1;
            expires 1h;
        }
        location ^~ /denied/ { internal; deny all; }
        location ^~ /returned/ { internal; return 204; }
        location ^~ /again/ {
            internal;
            rewrite ^/again/(.*)$ /s3/$1 last;
        }

        # others' requests with one of ours in them
        location = /page {
            rewrite ^ /pages/page last;
        }
        location /pages/ {
            internal;
            auth_request /projects/demo/export/download/exp_plain;
            root %%DIR%%;
        }
        location = /forbidden {
            auth_request /projects/demo/export/download/exp_s403;
            root %%DIR%%;
        }
        location = /ssi {
            ssi on;
            ssi_types *;
            root %%DIR%%/pages;
            try_files /ssi =500;
        }
        location = /ssi-cookie {
            ssi on;
            ssi_types *;
            root %%DIR%%/pages;
            try_files /ssi-cookie =500;
        }
        location = /cookie { internal; return 200 "[$http_cookie]"; }
    }
}
EOC

my $leaky = join "\r\n", 'Server: storage', 'x-amz-request-id: 1',
    'Date: x', 'ETag: "e1"', 'Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT',
    'Accept-Ranges: bytes',
    'Content-Type: text/html; charset=koi8-r',
    'Content-Disposition: inline; filename="evil.html"',
    'Set-Cookie: a=1', 'Set-Cookie: b=2', 'Cache-Control: public, max-age=9',
    'Cache-Control: immutable', 'Expires: Thu, 31 Dec 2037 23:55:55 GMT',
    'Link: </x>; rel=preload', 'Location: /error.html', 'Refresh: 1',
    'WWW-Authenticate: AWS', 'X-Accel-Charset: koi8-r', 'Vary: Origin',
    'X-Request-Id: theirs', 'X-Content-Type-Options: none',
    'Access-Control-Allow-Origin: *', 'Strict-Transport-Security: max-age=1',
    'Pragma: public', '';
my $bytes = join '', map { "object $_\n" } 1 .. 300;

sub answer {
    my ($socket, $path, $request) = @_;
    my $headers = $path =~ /leaky/ ? $leaky : '';
    my $n = length $bytes;

    if ($path =~ m{/status-(\d+)}) {
        my $status = $1;
        my $body = "<html>storage says $status</html>\n";
        $headers .= "Content-Range: bytes */77\r\n" if $status == 416;
        $headers .= "Location: http://127.0.0.1/elsewhere\r\n"
            if $status =~ /^30[1237]/ && !$headers;
        return print $socket "HTTP/1.1 $status Storage\r\n",
            "Connection: close\r\n", $headers,
            $status == 304 || $status == 204 ? "\r\n"
                : 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    }
    if ($path =~ m{/several}) {
        my $parts = "--part\r\nContent-Type: text/plain\r\n\r\nab\r\n--part--";
        return print $socket "HTTP/1.1 206 Partial\r\n",
            "Content-Type: Multipart/ByteRanges; boundary=part\r\n",
            'Content-Length: ', length $parts,
            "\r\nConnection: close\r\n\r\n$parts";
    }
    if ($path =~ m{/encoded}) {
        return print $socket "HTTP/1.1 200 OK\r\n${headers}Connection: close",
            "\r\nContent-Encoding: br\r\nContent-Length: $n\r\n\r\n", $bytes;
    }
    if ($path =~ m{/mislabelled}) {
        return print $socket "HTTP/1.1 200 OK\r\nConnection: close\r\n",
            "Content-Type: multipart/byteranges; boundary=part\r\n",
            "Content-Length: $n\r\n\r\n", $bytes;
    }
    if ($path =~ m{/range}) {
        return print $socket "HTTP/1.1 206 Partial\r\n$headers",
            "Content-Range: bytes 10-19/$n\r\nContent-Length: 10\r\n",
            "Connection: close\r\n\r\n", substr $bytes, 10, 10;
    }
    if ($path =~ m{/chunked}) {
        return print $socket "HTTP/1.1 200 OK\r\nConnection: close\r\n",
            "Transfer-Encoding: chunked\r\n\r\n",
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    }
    if ($path =~ m{/endless-(\d+)}) {
        print $socket "HTTP/1.1 $1 Storage\r\n\r\n";
        1 while print $socket 'x' x 65536;
        return;
    }
    if ($path =~ m{/hang}) {
        sysread $socket, my $ignored, 1;
        return;
    }
    if ($path =~ m{/short}) {
        return print $socket "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            'short';
    }
    return if $path =~ m{/close};
    return print $socket "\0\1\2 this is not HTTP\r\n\r\n"
        if $path =~ m{/garbage};
    return print $socket "HTTP/1.1 200 OK\r\nX: ", 'x' x 20000, "\r\n\r\n"
        if $path =~ m{/huge-header};

    my $body = $path =~ m{/empty} ? '' : $bytes;
    print $socket "HTTP/1.1 200 OK\r\n${headers}Connection: close\r\n",
        'Content-Length: ' . length($body) . "\r\n\r\n",
        $request =~ /^HEAD/ ? '' : $body;
}

sub serve {
    while (my $socket = $listen->accept) {
        next if fork;
        my $request = '';
        1 while $request !~ /\r\n\r\n/
                && sysread $socket, $request, 65536, length $request;
        # whatever comes behind the header within that
        my $more = IO::Select->new($socket);
        sysread $socket, $request, 65536, length $request
            if $more->can_read($request =~ m{/listen} ? 0.3 : 0);
        open my $log, '>>', $t->path('requests');
        syswrite $log, unpack('H*', $request) . "\n";
        $socket->autoflush(1);
        answer($socket, (split ' ', $request)[1] // '', $request);
        POSIX::_exit(0);
    }
}

my $origin = fork // die "fork: $!";
if ($origin == 0) {
    $SIG{CHLD} = 'IGNORE';
    $SIG{TERM} = 'DEFAULT';
    serve();
    POSIX::_exit(0);
}
END { kill 'TERM', $origin if $origin }

# the last request that it got
sub asked { pack 'H*', (split /\n/, $t->read_file('requests'))[-1] // '' }

my %key = (
    plain => 'dir/plain.csv', odd => 'a b/ü%20?#.csv',
    marks => q{!$&'()*+,;=:@~"<>[]\^`{|}%2e%2E.csv}, dots => './a//b/.../c',
    leaky => 'leaky.csv', empty => 'empty', range => 'range-leaky',
    several => 'several', mislabelled => 'mislabelled',
    chunked => 'chunked', php => 'x.php/status-200', hang => 'hang',
    close => 'close', garbage => 'garbage', short => 'short',
    huge => 'huge-header', endless500 => 'endless-500',
    endless302 => 'endless-302', listen => 'listen',
    map { +("s$_" => "status-$_", "l$_" => "leaky/status-$_") }
        qw(201 204 206 301 302 303 307 304 400 401 403 404 405 412 413 416 429
           500 501 502 503 504 599 200),
);
my @more = (
    ['gs', gs => 'obj'], ['whole', whole => 'w x'],
    ['whole404', whole => 'leaky/status-404'],
    ['whole500', whole => 'leaky/status-500'],
    ['wholebig', whole => 'leaky.csv'],
    ['slow', slow => 'hang'], ['refused', refused => 'x'],
    ['file', files => 'object'], ['nofile', files => 'nothing'],
    ['nullfile', files => 'null'], ['dirfile', files => 'dir'],
    ['cached', cached => 'leaky.csv'],
    ['cached404', cached => 'leaky/status-404'],
    ['cached500', cached => 'leaky/status-500'],
    ['zipped', zipped => 'leaky.csv'], ['encoded', zipped => 'leaky/encoded'],
    ['mirrored', mirrored => 'leaky.csv'], ['denied', denied => 'x'],
    ['returned', returned => 'x'], ['nowhere', nowhere => 'x'],
    ['loop', loop => 'exp_loop'], ['again', again => 'leaky.csv'],
    ['other', other => 'leaky.csv'], ['unknown', nobody => 'x'],
    ['local', local => 'object'],
);

mkdir $t->path($_) for qw(files files/dir pages);
$t->write_file('files/object', $bytes);
$t->write_file('files/null', '');
$t->write_file('pages/page', "page\n");
$t->write_file('pages/ssi', join '|', map {
    "<!--# include virtual=\"/projects/demo/export/download/exp_$_\" -->"
    } qw(empty plain s404 s403 slow refused));
$t->write_file('pages/ssi-cookie',
    '<!--# include virtual="/limited/demo/export/download/exp_whole"'
    . ' wait="yes" --><!--# include virtual="/cookie" -->');

my @common = (project => 'demo', download_name => 'Übung.csv');
my $store = $t->store('store',
    (map { project_line(@common, id => "exp_$_", storage_backend => 's3',
                        storage_key => $key{$_}) } sort keys %key),
    (map { project_line(@common, id => "exp_$_->[0]",
                        storage_backend => $_->[1],
                        storage_key => $_->[2]) } @more),
    project_line(@common, id => 'exp_admin', storage_backend => 's3',
                 kind => 'database_export', table => undef));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

sub uri { return "/projects/demo/export/download/exp_$_[0]" }
sub fetch { my ($id, @headers) = @_;
            return $t->get(uri($id), @auth, @headers) }

my $disposition = q{attachment; filename="_bung.csv"; }
                  . q{filename*=UTF-8''%C3%9Cbung.csv};

# all that may leave of an answer that went well
my %allowed = map { $_ => 1 } qw(
    server date connection content-type content-length transfer-encoding
    content-disposition x-content-type-options cache-control x-request-id
    etag last-modified accept-ranges content-range vary content-encoding
);

sub leaks {
    my ($r, @also) = @_;
    my %count;
    $count{$_}++ for split ' ', $r->header_names;
    my @faults = map { "$_ $count{$_}" }
        grep { !$allowed{$_} && !(grep { $_ } @also) || $count{$_} > 1 }
        sort keys %count;
    push @faults, 'Server' if ($r->header('Server') // '') !~ /^nginx/;
    push @faults, 'Date' if ($r->header('Date') // '') !~ / GMT\z/;
    push @faults, 'X-Request-Id'
        if $r->header('X-Request-Id') !~ /^$Exports::Test::REQUEST_ID\z/;
    return @faults;
}

sub is_object {
    my ($r, $body, $name, $status, @also) = @_;
    my @faults = leaks($r, @also);
    $status //= 200;

    push @faults, 'status ' . $r->status if $r->status != $status;
    push @faults, 'body' if $r->body ne $body;
    my %expected = ('Content-Type' => 'text/csv; charset=utf-8',
                    'Content-Disposition' => $disposition,
                    'X-Content-Type-Options' => 'nosniff',
                    'Cache-Control' => 'private, no-cache');
    $expected{'Content-Type'} = '' if $status == 304;
    for (sort keys %expected) {
        push @faults, "$_: " . ($r->header($_) // 'none')
            if ($r->header($_) // '') ne $expected{$_};
    }

    return is(join(', ', @faults), '', $name)
           || diag substr $r->raw, 0, 1500;
}

# an error of ours, with nothing of the storage's in it
sub is_ours {
    my ($r, $status, $code, $name, @also) = @_;
    my %ours = map { $_ => 1 } qw(server date connection content-type
        content-length cache-control x-request-id), @also;
    is_error $r, $status, $code, $name;
    my @names = split ' ', $r->header_names;
    my %seen;
    return is join(' ', grep { !$ours{$_} || $seen{$_}++ } @names), '',
              "$name: no header of the storage" ;
}


# ---- what it is asked ------------------------------------------------------

my @private = (Cookie => 'session=secret',
               'Proxy-Authorization' => 'Basic s');
my $r = $t->get(uri('plain') . '?token=secret&x=1', @auth, @private,
                'X-Other' => 'stays', 'Accept-Encoding' => 'gzip');
is_object $r, $bytes, 'an object';
my $asked = asked();
like $asked, qr{^GET /dir/plain\.csv HTTP/1\.[01]\r\n}, 'it is asked for its key';
unlike $asked, qr/secret|authorization|cookie|Bearer|pat_/i,
       'without credentials and arguments';
like $asked, qr/^X-Other: stays\r$/mi, 'other headers go through';

# more than nginx keeps in one place

my @filler = map { ("X-Filler-$_" => $_) } 1 .. 50;

is_object $t->get(uri('plain'), @filler, @auth, @private, 'X-Other' => 'stays'),
          $bytes, 'an object, asked for with fifty headers more';
$asked = asked();
is scalar(() = $asked =~ /^X-Filler-(\d+): \1\r$/mgi), 50, 'they go through';
unlike $asked, qr/secret|authorization|cookie|Bearer|pat_/i,
       'but no credentials behind them';
like $asked, qr/^X-Other: stays\r$/mi, 'and what is behind those';

for (['odd', '/a%20b/%C3%BC%2520%3F%23.csv'],
     ['dots', '/./a//b/.../c'], ['php', '/x.php/status-200'])
{
    my ($id, $path) = @$_;
    is fetch($id)->status, 200, "key: $id";
    is +(split ' ', asked())[1], $path, "key: $id: escaped";
}
fetch('marks');
is +(split ' ', asked())[1] =~ s/%([0-9A-F]{2})/chr hex $1/ger,
   "/$key{marks}", 'key: marks: the same when decoded';

is fetch('gs')->status, 200, 'a prefix that does not end in a slash';
is +(split ' ', asked())[1], '/bucket-obj', 'its URI';
is fetch('whole', Cookie => 'session=secret')->status, 200,
   'proxy_pass without a URI';
is +(split ' ', asked())[1], '/whole/w%20x', 'its URI';
like asked(), qr/^Host: storage\.example\r$/m, 'its Host';
unlike asked(), qr/X-Client/, '$http_authorization and cookies are empty';
is $t->get(uri('whole') =~ s/projects/limited/r, @auth, @private)->status,
   200, 'limit_req by credentials';
unlike asked(), qr/X-Client/, 'limit_req by credentials: they are empty then';

$r = $t->request('HEAD', uri('leaky'), @auth);
is_object $r, '', 'HEAD';
is $r->header('Content-Length'), length $bytes, 'HEAD: the length';
like asked(), qr{^HEAD /leaky\.csv }, 'HEAD stays HEAD';

for (['Range', 'bytes=10-19'], ['If-None-Match', '"e1"'],
     ['If-Modified-Since', 'Tue, 14 Nov 2023 22:13:20 GMT'],
     ['If-Match', '"e1"'], ['If-Unmodified-Since', 'x'], ['If-Range', '"e1"'])
{
    my ($name, $value) = @$_;
    fetch('plain', $name => $value);
    like asked(), qr/^\Q$name: $value\E\r$/mi, "$name goes through";
}

# a body stays here

my $without_body =
    qr/^(?!.*(?:content-length|transfer-encoding)).*\r\n\r\n\z/is;
my $c = $t->connect;
for my $body ('x' x 10, 'x' x 100_000, "GET / HTTP/1.1\r\n\r\n" x 10) {
    $c->send(Exports::Test::request_text('GET', uri('listen'), @auth,
                 'Content-Length' => length $body), $body);
    is_object $c->response, $bytes, 'with a body of ' . length $body;
    like asked(), $without_body, 'which the storage does not get';
}
$c->send(Exports::Test::request_text('GET', uri('listen'), @auth,
             'Transfer-Encoding' => 'chunked'), "3\r\nabc\r\n0\r\n\r\n");
is_object $c->response, $bytes, 'with a chunked body';
like asked(), $without_body, 'which the storage does not get';
is_object $c->get(uri('plain'), @auth), $bytes, 'and the next request';
$c->close;

is_error $t->get(uri('admin'), @auth), 403, 'permission_denied',
         'without permission';
is_error $t->get(uri('plain')), 401, 'missing_authorization',
         'without a token';
unlike $t->read_file('requests'), qr{@{[unpack 'H*', '/exp_admin']}},
       'then it is not asked';


# ---- what it answers -------------------------------------------------------

is_object fetch('leaky'), $bytes, 'headers of the storage stay there';
$r = fetch('leaky');
is $r->header('ETag'), '"e1"', 'but its ETag';
is $r->header('Last-Modified'), 'Tue, 14 Nov 2023 22:13:20 GMT',
   'its Last-Modified';
is $r->header('Accept-Ranges'), 'bytes', 'its Accept-Ranges';
is $r->header('Content-Length'), length $bytes, 'its length';

is_object fetch('empty'), '', 'an empty object';
is_object fetch('chunked'), 'abcde', 'of unknown length';
$r = fetch('range', Range => 'bytes=10-19');
is_object $r, substr($bytes, 10, 10), 'a range', 206;
is $r->header('Content-Range'), 'bytes 10-19/' . length $bytes,
   'a range: Content-Range';
$r = fetch('several', Range => 'bytes=0-1,5-6');
is $r->header('Content-Type'), 'Multipart/ByteRanges; boundary=part',
   'several ranges: where one ends';
like $r->body, qr/^--part\r\n.*--part--\z/s, 'several ranges: their bytes';
is_object fetch('mislabelled'), $bytes, 'one that is said to be several';
$r = fetch('encoded', 'Accept-Encoding' => 'gzip, br');
is $r->body, $bytes, 'one that is compressed';
is join(' ', $r->headers('Content-Encoding')), 'br', 'its encoding';
is fetch('zipped', 'Accept-Encoding' => 'gzip')->header('Content-Encoding'),
   'gzip', 'one that nginx compresses';
is join(' ', map { / GMT\z/ ? $_ ne 'Thu, 31 Dec 2037 23:55:55 GMT' : $_ }
             $r->headers('Expires')), 1, '"expires" there: one of its own';
is_object fetch('l304', 'If-None-Match' => '"e1"'), '', 'not modified', 304;
is_object fetch('wholebig'), $bytes, 'unbuffered, HTTP/1.1';
is_object fetch('mirrored'), $bytes, 'with a subrequest of ours beside it';
is_object fetch('again'), $bytes, 'a rewrite in the location';

for my $status (qw(201 204 301 302 303 307 400 401 403 405 413 429 500 501 502
                   503 504 599))
{
    is_ours fetch("l$status"), 502, 'bad_gateway', "it answers $status";
    is $t->request('HEAD', uri("s$status"), @auth)->status, 502,
       "HEAD: it answers $status";
}
is_ours fetch('s302'), 502, 'bad_gateway', 'it redirects elsewhere';

for my $id (qw(s404 l404 whole404)) {
    $r = fetch($id);
    is_ours $r, 404, 'not_found', "it has none: $id";
    is $r->json->{error}{message}, 'The file of this export is missing.',
       "it has none: $id: the message";
}
is_ours fetch('l412', 'If-Match' => '"x"'), 412, 'precondition_failed',
        'a condition that does not hold';
$r = fetch('l416', Range => 'bytes=999999-');
is_ours $r, 416, 'range_not_satisfiable', 'a range that is none',
        'content-range';
is $r->header('Content-Range'), 'bytes */77', 'of its length';
is_ours fetch('whole500'), 502, 'bad_gateway', 'errors are intercepted';

is_ours fetch($_), 502, 'bad_gateway', $_
    for qw(slow refused close garbage huge denied returned endless500
           endless302);
is_ours fetch('nowhere'), 404, 'not_found', 'no such location';

$c = $t->connect;
$c->send(Exports::Test::request_text('GET', uri('short'), @auth));
ok !eval { $c->response; 1 }, 'an object that is cut short is no success';
$c->close;

like $t->error_log,
     qr/\[error\] .*storage "s3" answered 403 for export "exp_l403"/,
     'what it answered is logged';
like $t->error_log,
     qr/\[error\] .*storage "$_->[0]" answered $_->[1] for export/,
     "so is what nginx has made an error: $_->[0]"
    for ['whole', 500], ['denied', 403];
like $t->error_log, qr/\[info\] .*storage "s3" answered $_ for/,
     "$_ is the client's fault" for 412, 416;

$c = $t->connect;
for my $id (qw(s404 plain s500 slow refused plain endless500 plain garbage
               plain l416 leaky))
{
    $r = $c->get(uri($id), @auth);
    is $r->status, $id =~ /plain|leaky/ ? 200
                 : $id =~ /(404|416)/ ? $1 : 502,
       "on one connection: $id";
}
$c->close;

my $log = $t->read_file('access.log');
like $log, qr{^GET \S*/s3/leaky/status-403 502 bad_gateway$}m,
     'the access log has what was sent';
like $log, qr{^GET \S*/slow/hang 502 bad_gateway$}m, 'for a timeout too';
like $log, qr{^GET \S*/s3/leaky/status-404 404 not_found$}m, 'for a 404 too';


# ---- locations that do something else --------------------------------------

is_object fetch('file'), $bytes, 'a file';
is_object fetch('nullfile'), '', 'an empty file';
my $etag = fetch('file')->header('ETag');
is_object fetch('file', Range => 'bytes=10-19'), substr($bytes, 10, 10),
          'a file: a range', 206;
is_object fetch('file', 'If-None-Match' => $etag), '', 'a file: 304', 304;
is_ours fetch('file', 'If-Match' => '"x"'), 412, 'precondition_failed',
        'a file: 412';
$r = fetch('file', Range => 'bytes=999999-');
is_ours $r, 416, 'range_not_satisfiable', 'a file: 416', 'content-range';
is $r->header('Content-Range'), 'bytes */' . length $bytes,
   'a file: 416: of its length';
is_ours fetch('nofile'), 404, 'not_found', 'a file: none';
is_ours fetch('dirfile'), 502, 'bad_gateway', 'a file: a directory';
is_object fetch('local'), $bytes, 'the local one';

for my $turn ('MISS', 'HIT') {
    $r = fetch('cached');
    is_object $r, $bytes, "cache: $turn", 200, 'x-cache';
    is $r->header('X-Cache'), $turn, "cache: $turn";
    $r = fetch('cached404');
    is_ours $r, 404, 'not_found', "cache: 404: $turn", 'x-cache';
    is $r->header('X-Cache'), $turn, "cache: 404: $turn";
}
is_ours fetch('cached500'), 502, 'bad_gateway', 'cache: 500', 'x-cache';
is_object fetch('cached', Range => 'bytes=10-19'), substr($bytes, 10, 10),
          'cache: a range', 206, 'x-cache';
is_object fetch('cached', 'If-None-Match' => '"e1"'), '', 'cache: 304', 304,
          'x-cache';
is_ours fetch('cached', 'If-Match' => '"x"'), 412, 'precondition_failed',
        'cache: 412', 'x-cache';
is_ours fetch('cached', Range => 'bytes=999999-'), 416,
        'range_not_satisfiable', 'cache: 416', 'x-cache', 'content-range';

is_error fetch('loop'), 401, 'missing_authorization',
         'into one of our own: no token any more';
is_error fetch('unknown'), 404, 'not_found', 'a backend that is not known';
is_error fetch('other'), 404, 'not_found', 'one that is known elsewhere';
is $t->get('/some/demo/export/download/exp_other', @auth)->status, 200,
   'the location has its own';
is_error $t->get('/some/demo/export/download/exp_plain', @auth), 404,
         'not_found', 'and then no others';
is $t->get('/s3/plain.csv', @auth)->status, 200,
   'from outside: the error page';
is $t->get('/s3/plain.csv', @auth)->body, "error page\n",
   'from outside: nothing of the storage';

$r = $t->get('/runs/demo/export/download/exp_s500', @auth,
             'X-Operation-Key' => 'k');
is $r->status . ' ' . $r->json->{operation_key}, '502 k', 'an operation';

$r = $t->get('/page', @auth);
is $r->body, "page\n", 'auth_request: the page';
is $r->header('Content-Disposition'), undef, 'auth_request: as it is';
is $t->get('/forbidden', @auth)->body, "error page\n",
   'auth_request: a 403 of the storage is not ours';
like $t->error_log, qr/auth request unexpected status: 502/,
     'auth_request: but a failure';
$r = $t->get('/ssi', @auth, 'Cookie' => 'x=1');
like $r->body, qr/^\|\Q$bytes\E\|\{[^|]*"not_found"[^|]*\}
                  (?:\|\{[^|]*"bad_gateway"[^|]*\}){3}\z/x, 'ssi';
is $t->get('/ssi-cookie', @auth, @private)->body, $bytes . '[session=secret]',
   'ssi: the others have the credentials still';
unlike asked(), qr/X-Client/, 'ssi: the storage has none';


# ---- the directive ---------------------------------------------------------

for (['s3', qr/invalid number of arguments/],
     ['s3 /a/ /b/', qr/invalid number of arguments/],
     ['s3 bucket/', qr{invalid URI prefix "bucket/", it must begin with "/"}],
     ['s3 ""', qr/invalid URI prefix ""/],
     ['s3 http://s3/', qr/invalid URI prefix/],
     ['s3 /a?b=', qr/must not have arguments/],
     ['s3 /$host/', qr/must not have arguments, variables/],
     ["s3 '/a\n/'", qr/control characters/],
     ['"" /a/', qr/empty name of a backend/],
     ['local /a/', qr/"local" lie below "exports_root"/],
     ['s3 /a/; exports_redirect s3 /b/', qr/duplicate backend "s3"/])
{
    my ($arguments, $pattern) = @$_;
    my ($exit, $said) = $t->check_conf(<<"EOC");
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        exports_redirect $arguments;
    }
}
EOC
    like "exit $exit: $said", qr/^exit 1: .*$pattern/s,
         "refused: $arguments" =~ s/\n/./r;
    like $said, qr/check\.conf:7/, 'with its line' if $arguments !~ /\n/;
}

kill 'TERM', $origin;
waitpid $origin, 0;
undef $origin;

$t->done;
