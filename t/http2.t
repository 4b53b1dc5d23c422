# The same answers over HTTP/2, many streams on one connection.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_page_cache 1m;
    exports_redirect storage /storage/;
    exports_redirect nobody /nobody/;
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_h2%% http2;
        location /projects/ { exports_api project; }
        location /deny/ { exports_api project; deny all; }
        location /gzip/ { exports_api project; exports_gzip on; }
        location /storage/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT%%/files/;
        }
        location /nobody/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_nobody%%/;
        }
        location /files/ { root %%DIR%%; }
    }
}
EOC

my ($exit, $said) = $t->check_conf($t->{template});
plan skip_all => 'nginx without HTTP/2' if $said =~ /http_v2_module/;
plan tests => 54;

my $store = $t->store('store', map { project_line(
    project => 'demo', id => "exp_$_",
    created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 300);
my $bearer = 'Bearer ' . $t->token($store, project => 'demo');

my $big = join '', map { "$_,a line of a table\n" } 1 .. 100_000;
my @artifacts = (
    ['file', local => 'big'], ['none', local => 'nothing'],
    ['null', local => 'null'], ['stored', storage => 'big'],
    ['lost', storage => 'nothing'], ['away', nobody => 'big'],
);

mkdir $t->path('files');
$t->write_file('files/big', $big);
$t->write_file('files/null', '');
$t->load($store, map { project_line(project => 'files', id => "exp_$_->[0]",
    storage_backend => $_->[1], storage_key => $_->[2]) } @artifacts);
my $files_bearer = 'Bearer ' . $t->token($store, project => 'files');

$t->run;


# ---- as much HTTP/2 as that takes ------------------------------------------

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
           . pack('CCN', $type, $flags, $stream) . $payload;
}

# a literal that is not indexed, without Huffman
sub literal {
    my ($name, $value) = @_;
    return "\0" . join '', map {
        my $n = length;
        ($n < 127 ? pack 'C', $n : pack('C', 127) . varint($n - 127)) . $_
    } $name, $value;
}

sub varint {
    my ($n) = @_;
    my $bytes = '';
    while ($n > 127) {
        $bytes .= pack 'C', $n & 127 | 128;
        $n >>= 7;
    }
    return $bytes . pack 'C', $n;
}

my $next = 1;

sub request {
    my ($method, $path, %headers) = @_;
    my $stream = $next;
    $next += 2;

    my $block = join '', literal(':method', $method), literal(':scheme', 'http'),
        literal(':path', $path), literal(':authority', 'localhost'),
        map { literal($_, $headers{$_}) } sort keys %headers;

    # END_STREAM, END_HEADERS
    return ($stream, frame(1, 5, $stream, $block));
}

# the status: the first field, indexed, or its digits as they are
sub status_of {
    my ($block) = @_;
    $block =~ s/^[\x20-\x3f]//;
    my %static = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
                  0x8c => 400, 0x8d => 404, 0x8e => 500);
    return $static{ ord $block } // substr $block, 2, 3;
}

my $c = $t->connect('h2');
my %answer;

$c->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
         frame(4, 0, 0, pack 'nN', 4, 0x7fffffff),      # window of streams
         frame(8, 0, 0, pack 'N', 0x7fff0000));         # of the connection

# reads until all of these streams have ended
sub answers {
    my @streams = @_;

    until (!grep { !$answer{$_}{end} } @streams) {
        $c->_until(sub { length $c->{in} >= 9 }) or die 'closed';
        my ($length, $type, $flags, $stream) =
            (unpack('N', "\0" . substr $c->{in}, 0, 3),
             unpack 'CCN', substr $c->{in}, 3, 6);
        $c->_until(sub { length $c->{in} >= 9 + $length }) or die 'closed';
        my $payload = substr $c->{in}, 9, $length;
        substr $c->{in}, 0, 9 + $length, '';

        my $answer = $answer{$stream} //= {};
        $answer->{$_} //= '' for 'body', 'headers';
        $answer->{body} .= $payload if $type == 0;
        $answer->{headers} .= $payload if $type == 1 || $type == 9;
        $answer->{end} = 1 if $type <= 1 && $flags & 1 || $type == 3;
        $answer->{reset} = 1 if $type == 3;
        $c->send(frame(4, 1, 0, '')) if $type == 4 && !($flags & 1);
    }

    return map { +{ %{ $answer{$_} }, status => status_of($answer{$_}{headers}) } }
           @streams;
}

sub ask {
    my ($stream, $bytes) = request(@_);
    $c->send($bytes);
    return (answers($stream))[0];
}


# ---- the answers -----------------------------------------------------------

my @auth = (authorization => $bearer);
my $r = ask(GET => '/projects/demo/exports?limit=2', @auth);
is $r->{status}, 200, 'a list';

my $one = $t->get('/projects/demo/exports?limit=2', Authorization => $bearer);
is masked($r->{body}), masked($one->body), 'the same as over HTTP/1.1';

is length ask(GET => '/projects/demo/exports?limit=500', @auth)->{body},
   length $t->get('/projects/demo/exports?limit=500',
                  Authorization => $bearer)->body, 'a long one';

$r = ask(HEAD => '/projects/demo/exports?limit=2', @auth);
is $r->{status}, 200, 'HEAD';
is $r->{body}, '', 'HEAD: no body';

$r = ask(GET => '/projects/demo/exports?limit=2', @auth,
         'if-none-match' => $one->header('ETag'));
is $r->{status}, 304, 'not modified';
is $r->{body}, '', 'not modified: no body';

for (['/projects/demo/exports', [], 401, 'missing_authorization'],
     ['/projects/demo/exports', [authorization => 'Bearer x'], 401,
      'invalid_token'],
     ['/projects/demo/exports', [authorization => 'Bearer  '], 401,
      'missing_authorization'],
     ['/projects/demo/exports?limit=0', \@auth, 400, 'validation_failed'],
     ['/projects/demo', \@auth, 404, 'not_found'],
     ['/deny/demo/exports', \@auth, 403, 'forbidden'])
{
    my ($path, $headers, $status, $code) = @$_;
    $r = ask(GET => $path, @$headers);
    is "$r->{status} " . json($r->{body})->{error}{code}, "$status $code",
       "$path: $status";
}

# what HTTP/1 takes away from the end of a header is there

is ask(GET => '/projects/demo/exports', authorization => "$bearer  ")->{status},
   200, 'blanks behind the token';

$r = ask(POST => '/projects/demo/exports', @auth);
is "$r->{status} " . json($r->{body})->{error}{code}, '405 method_not_allowed',
   'POST';

# a body that is longer than all windows, to a route that does not want it

my ($stream) = request('POST', '/x');
my $block = (request('POST', '/projects/demo/exports', @auth))[1];
$next -= 2;
substr $block, 4, 1, "\4";                              # END_HEADERS only
substr $block, 5, 4, pack 'N', $stream;
$c->send($block, frame(0, 0, $stream, 'x' x 16000), frame(0, 1, $stream, 'x'));
($r) = answers($stream);
is $r->{status}, 405, 'POST with a body';
is ask(GET => '/projects/demo/exports', @auth)->{status}, 200,
   'the connection goes on';

# downloads

sub download {
    my ($method, $id, %headers) = @_;
    my $r = ask($method, "/projects/files/export/download/exp_$id",
                authorization => $files_bearer, %headers);
    $r->{code} = $r->{body} =~ /^\{"ok":false,.*"code":"(\w+)"/ ? $1 : 'bytes';
    return $r;
}

for my $id ('file', 'stored') {
    $r = download(GET => $id);
    is "$r->{status} " . length $r->{body}, '200 ' . length $big, "$id: bytes";
    ok $r->{body} eq $big, "$id: its own";
    $r = download(GET => $id, range => 'bytes=10-19');
    is "$r->{status} $r->{body}", '206 ' . substr($big, 10, 10), "$id: a range";
    $r = download(GET => $id, range => 'bytes=99999999-');
    is "$r->{status} $r->{code}", '416 range_not_satisfiable',
       "$id: no such range";
    $r = download(HEAD => $id);
    is "$r->{status} $r->{body}", '200 ', "$id: HEAD";
    $r = download(GET => $id, 'if-match' => '"x"');
    is "$r->{status} $r->{code}", '412 precondition_failed',
       "$id: a condition that does not hold";
    $r = download(GET => $id, 'if-none-match' => '*');
    is download(GET => $id)->{status}, 200, "$id: the connection goes on";
}

$r = download(GET => 'file', 'if-none-match' => '*');
is "$r->{status} $r->{body}", '304 ', 'not modified';
$r = download(GET => 'null');
is "$r->{status} $r->{body}", '200 ', 'an empty file';
for (['none', 404, 'not_found'], ['lost', 404, 'not_found'],
     ['away', 502, 'bad_gateway'])
{
    my ($id, $status, $code) = @$_;
    $r = download(GET => $id);
    is "$r->{status} $r->{code}", "$status $code", "$id: $status";
    $r = download(HEAD => $id);
    is "$r->{status} $r->{body}", "$status ", "$id: HEAD";
}

# with a body, which nobody wants

for my $id ('file', 'stored') {
    my ($stream, $block) = request('GET',
        "/projects/files/export/download/exp_$id",
        authorization => $files_bearer);
    substr $block, 4, 1, "\4";                          # END_HEADERS only
    $c->send($block);
    $c->send(frame(0, 0, $stream, 'x' x 16000)) for 1 .. 4;
    $c->send(frame(0, 1, $stream, 'x'));
    ($r) = answers($stream);
    is $r->{status}, 200, "$id: with a body";
    ok $r->{body} eq $big, "$id: with a body: bytes";
}

my @downloads;
for my $n (0 .. 29) {
    my ($stream, $request) = request('GET', '/projects/files/export/download/'
        . 'exp_' . ('file', 'stored', 'none', 'lost', 'null')[$n % 5],
        authorization => $files_bearer);
    push @downloads, $stream;
    $c->send($request);
}
my @got = answers(@downloads);
is join(' ', map { $_->{status} } @got), join(' ', ('200 200 404 404 200') x 6),
   'thirty downloads at once';
is scalar(grep { $_->{body} eq $big } @got), 12, 'each with its bytes';

# compressed, first made and then from the cache

for my $turn ('made', 'kept') {
    $r = ask(GET => '/gzip/demo/exports', @auth, 'accept-encoding' => 'gzip');
    cmp_ok length $r->{body}, '<', 10_000, "compressed: $turn";
    IO::Uncompress::Gunzip::gunzip(\$r->{body}, \my $text, Strict => 1);
    is json($text)->{data}{total}, 300, "compressed: $turn: whole";
}

# a hundred streams at once, each with its own answer

my (@streams, $bytes);
for my $n (0 .. 99) {
    my ($stream, $request) = request($n % 4 ? 'GET' : 'HEAD',
        "/projects/demo/exports?limit=50&offset=$n", @auth);
    push @streams, $stream;
    $bytes .= $request;
}
$c->send($bytes);

my @answers = answers(@streams);
is scalar(grep { $_->{status} == 200 } @answers), 100, '100 streams at once';
is scalar(grep { my $n = $_;
                 my $body = $answers[$n]{body};
                 $n % 4 ? $body !~ /"limit":50,"offset":$n\}/ : $body ne '' }
          0 .. 99), 0, 'each has its own answer';
ok !(grep { $_->{reset} } @answers), 'no stream was reset';
my %ids = map { $_ => 1 } map { $_->{body} =~ /"request_id":"([^"]+)"/ }
          @answers;
is keys %ids, 75, 'and its own request id';

$c->close;
$t->done;
