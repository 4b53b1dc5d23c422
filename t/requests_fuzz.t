# Whole requests, made at random and then damaged, several on a connection: each
# answer is well-formed HTTP, each error of our locations is our JSON, none is a
# 500, and no connection ends without an answer.
#
#   REQUESTS        how many; the long run is ./run sanitize with 100000
#   REQUESTS_SEED   of the second half; the first half is always the same
#   REQUESTS_ONLY   SEED:N, one case, shown

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

use constant THREADS => ($ENV{EXPORTS_VARIANT} // '') eq 'aio';

my $REQUESTS = $ENV{REQUESTS} || 3000;
my $SEED = $ENV{REQUESTS_SEED} // (time ^ $$ << 8) & 0x7fffffff;

plan tests => 8;
note "REQUESTS_SEED=$SEED";

my $t = Exports::Test->new(level => 'error');

# a header that only the answers of a location carry says whose they are

$t->conf(<<'EOC');
%%MAIN%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    gzip_proxied any;
    lingering_close always;
    lingering_timeout 5s;
    large_client_header_buffers 4 8k;
    merge_slashes on;
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_redirect storage /storage/;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    exports_operation_zone operations:1m;
    exports_rate_zone users:1m;
    exports_rate_zone few:1m;

    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Location other always;

        location / { return 404; }
        location /storage/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_files%%/;
            proxy_ignore_client_abort on;
            add_header X-Location storage always;
        }

        location /projects/ {
            exports_api project;
            exports_operations operations;
            add_header X-Location project always;
        }
        location /deny/ {
            exports_api project;
            deny all;
            add_header X-Location project always;
        }
        location /small/ {
            exports_api project;
            client_max_body_size 8;
            add_header X-Location project always;
        }
        location /api/v3/exports {
            exports_api user;
            exports_rate_limit users rate=60000r/m;
            add_header X-Location user always;
        }
        location /few {
            exports_api user;
            exports_rate_limit few rate=3r/m;
            add_header X-Location user always;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_files%%;
        root %%DIR%%/files;
    }
}
EOC

key_file($t, 'key');
mkdir $t->path('files');
$t->write_file('files/table.csv', join '', map { "$_,a,b\n" } 1 .. 300);
$t->write_file('files/one', 'x');

my $store = $t->store('store',
    (map { project_line(project => 'demo', id => "exp_$_",
               table => $_ % 2 ? 'contacts' : 'deals',
               storage_key => ('table.csv', 'one', 'none')[$_ % 3],
               storage_backend => $_ % 5 ? 'local' : 'storage',
               status => $_ % 7 ? 'ready' : 'not_found',
               expires_at => $_ % 11 ? undef : '2020-01-01T00:00:00Z',
               created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 30),
    (map { user_line(user => 42, uuid => "u-$_",
               storage_backend => 'local', storage_key => 'table.csv',
               content_type => 'text/csv', type => $_ % 2 ? 'contacts' : 'a+b',
               status => (qw(ready pending failed))[$_ % 3]) } 1 .. 40));

my @tokens = (
    $t->token($store, project => 'demo'),
    $t->token($store, project => 'demo', admin => 1),
    $t->token($store, project => 'demo', tables => ['deals']),
    $t->token($store, project => 'other'),
    $t->token($store, project => 'demo', active => 0),
    $t->token($store, user => 42), $t->token($store, user => 'ann'),
);

$t->run;

my @workers = $t->workers;
my @auth = map { ('Authorization', "Bearer $_") } @tokens[0, 5];
my $list = $t->get('/projects/demo/exports', @auth[0, 1]);
my $page = $t->get('/api/v3/exports?per_page=40', @auth[2, 3]);
my @links = map { m{//localhost(.*)} } links_of($page);
my @etags = map { $_->header('ETag') } $list, $page,
    $t->get('/projects/demo/export/download/exp_1', @auth[0, 1]);

is $list->status . $page->status . @links, '20020013', 'lists and links';


# ---- requests that may be right --------------------------------------------

sub one { $_[rand @_] }
sub often { rand() < $_[0] }
sub bytes { join '', map { chr rand 256 } 1 .. rand $_[0] }

my @odd = ("\r", "\n", "\0", "\t", ' ', "\x7f", "\xff", '%', '%00', '%0a',
           '%2e', '%2F', '..', '/', '//', '?', '&', '=', '#', '+', ';', ',',
           ':', '"', '\\', '[', ']', '*', '-', '9' x 30, "\r\n", "\r\n ",
           "\r\n\r\n", 'HTTP/1.1', ' HTTP/1.0', "\xc3\xa9", "\xed\xa0\x80");

sub number {
    return one(0, 1, 2, 25, 50, 100, 500, 501, -1, '', '007', '1e3', '0x10',
               '+5', ' 5', '9' x 18, '9' x 19, '9' x 40, '18446744073709551616',
               '9223372036854775807', '9223372036854775808');
}

sub word { one(qw(a demo exp_1 ready all), 'x' x rand 140, bytes(12)) }

sub escaped {
    my ($text) = @_;
    $text =~ s/(.)/often(.1) ? sprintf '%%%02x', ord $1 : $1/ges;
    return $text;
}

sub project_target {
    my $prefix = often(.9) ? '/projects/' : one(qw(/deny/ /small/));
    my $project = often(.9) ? 'demo' : word();

    return $prefix . "$project/export/download/"
           . (often(.9) ? 'exp_' . int rand 33 : word())
        if often(.4);

    my @args = map { one(qw(status limit offset), word()) . one('=', '=', '')
                     . one(number(), number(), 'ready', 'not_found', 'all',
                           word()) }
               1 .. rand 4;

    return "$prefix$project/exports" . (@args ? '?' . join '&', @args : '');
}

sub user_target {
    my $prefix = often(.9) ? '/api/v3/exports' : '/few';

    return often(.5) ? one(@links) : one(@links) =~ s/(\d)/often(.05) ? 9 - $1
                                                                    : $1/ger
        if often(.3);
    return "$prefix/" . (often(.8) ? 'u-' . int rand 45 : word()) . '/download'
           . one('', '?expires=1&signature=' . 'a' x 64, '?' . word())
        if often(.2);

    my @args = map { one('page', 'per_page', 'filter[status][]',
                         'filter%5Bstatus%5D%5B%5D', 'filter[status]',
                         'filter[type][]', 'filter[type][' . int(rand 30) . ']',
                         'filter[subject_type]', 'filter[subject_id]',
                         'filter[', 'filter[x]', word()) . one('=', '=', '')
                     . one(number(), qw(ready pending failed contacts a%2Bb),
                           'ready,failed', word()) }
               1 .. rand 6;

    return $prefix . (@args ? '?' . join '&', @args : '');
}

sub target {
    my $target = often(.55) ? project_target() : user_target();

    $target = escaped($target) if often(.1);
    $target = one('http://localhost', 'https://x:1', 'HTTP://[::1]:99',
                  'ftp://a') . $target if often(.08);
    $target = one('*', '/', 'localhost:80', '/storage/one', '/other', bytes(20))
        if often(.05);
    $target .= one('#x', '?', '&', '/', '/../', '/.', '%00', 'a' x rand 9000)
        if often(.08);

    return $target;
}

sub authorization {
    my ($target) = @_;
    my @good = $target =~ /api|few/ ? $tokens[5] : @tokens[0 .. 2];

    return often(.9) ? 'Bearer ' . one(often(.9) ? @good : @tokens)
                     : one('Bearer', 'Bearer ', 'bearer  ' . one(@tokens),
                           'Basic dTpw', 'Bearer ' . bytes(40),
                           'Bearer ' . 'x' x rand 5000, word());
}

sub date { one('Sun, 06 Nov 1994 08:49:37 GMT', 'Fri, 01 Jan 2100 00:00:00 GMT',
               'Sunday, 06-Nov-94 08:49:37 GMT', bytes(30)) }
sub etag { one(@etags, '*', '"x"', 'W/"', join(', ', @etags), bytes(30)) }
sub label { one('daily', 'daily', 'run.1', 'a' x (126 + rand 4), '', word()) }

my %headers = (
    'X-Operation-Key' => \&label,
    'X-Operation-Run-Id' => \&label,
    'If-None-Match' => \&etag,
    'If-Match' => \&etag,
    'If-Modified-Since' => \&date,
    'If-Unmodified-Since' => \&date,
    'If-Range' => sub { one(etag(), date()) },
    Range => sub { 'bytes=' . join ',', map { one('0-1', '5-', '-3', number()
                                                  . '-' . number()) }
                                        0 .. rand 3 },
    'Accept-Encoding' => sub { one('gzip', 'gzip;q=0', '*', 'gzip, br',
                                   'gzip;q=' . number(), word()) },
    Accept => sub { one('*/*', 'text/html', word()) },
    Connection => sub { one('close', 'keep-alive', 'Upgrade', word()) },
    Upgrade => sub { one('h2c', 'websocket', word()) },
    Expect => sub { one('100-continue', word()) },
    'Content-Type' => sub { one('application/json', word()) },
    'X-Accel-Redirect' => sub { one('/storage/one', word()) },
    'X-Request-Id' => sub { "req_1\"<\x01" . word() },
    'X-Forwarded-For' => sub { word() },
    'Transfer-Encoding' => sub { one('identity', 'gzip', 'chunked, chunked') },
    'Content-Length' => sub { number() },
    Cookie => sub { word() },
    'a_b' => sub { word() },
);
my @names = sort keys %headers;

sub body {
    return ('', '') if often(.75);

    my $n = int rand 3000;
    return ("Content-Length: $n\r\n", 'b' x $n) if often(.5);
    return ('Content-Length: ' . number() . "\r\n", bytes(60)) if often(.3);

    my $body = join '', map { sprintf "%x%s\r\n%s\r\n", $_, one('', '', ';a=b'),
                                      'c' x $_ } map { 1 + int rand 50 }
                                                     1 .. rand 4;
    $body .= one("0\r\n\r\n", "0\r\n\r\n", "0\r\na: b\r\n\r\n", "zz\r\n", '');

    return ("Transfer-Encoding: chunked\r\n", $body);
}

# what is not damaged has to meet each condition often enough
sub conditional {
    my ($uri, $token) = @{ one(
        ['/projects/demo/exports?limit=3', $tokens[0]],
        ['/projects/demo/export/download/exp_' . one(3, 6, 9, 12), $tokens[1]],
        ['/api/v3/exports', $tokens[5]], [one(@links), 'none']) };

    return "GET $uri HTTP/1.1\r\nHost: localhost\r\n"
           . "Authorization: Bearer $token\r\n"
           . one('Range: bytes=1-2', 'Range: bytes=9999999-', 'If-Match: "x"',
                 'If-None-Match: *') . "\r\n\r\n";
}

sub request {
    return conditional() if often(.08);

    my $method = often(.7) ? 'GET'
               : one(qw(HEAD HEAD HEAD POST PUT DELETE OPTIONS PATCH TRACE
                        CONNECT PROPFIND get GETT), bytes(6));
    my $version = often(.85) ? ' HTTP/1.1'
                : one(' HTTP/1.0', ' HTTP/1.0', '', ' HTTP/1.2', ' HTTP/2.0',
                      ' HTTP/0.9', ' http/1.1', ' ', bytes(9));
    my $host = often(.95) ? "Host: localhost\r\n"
             : one('', "Host: a\r\nHost: b\r\n", "Host: \r\n", "Host: a b\r\n",
                   'Host: ' . bytes(20) . "\r\n", "Host: ../..\r\n");
    my $target = target();
    my $text = "$method $target$version\r\n$host";

    $text .= 'Authorization: ' . authorization($target) . "\r\n"
        for 1 .. (often(.9) ? 1 : rand 3);
    $text .= "$_: " . $headers{$_}->() . "\r\n"
        for map { one(@names) } 1 .. (often(.4) ? 0 : rand 6);

    my ($header, $body) = body();

    return "$text$header\r\n$body";
}


# ---- and what becomes of them ----------------------------------------------

sub damage {
    my ($text) = @_;
    my $at = int rand length $text;
    my $n = 1 + int rand one(1, 4, 30);
    my $how = int rand 7;

    if ($how == 0) { substr $text, $at, 1, chr rand 256 }
    elsif ($how == 1) { substr $text, $at, 0, one(@odd) }
    elsif ($how == 2) { substr $text, $at, $n, '' }
    elsif ($how == 3) { substr $text, $at, 0, substr $text, $at, $n }
    elsif ($how == 4) { substr $text, $at, 1, one(@odd) }
    elsif ($how == 5) { substr $text, $at, 0, one(@odd) x rand 200 }
    elsif (often(.3)) { substr $text, $at, length $text, '' }
    else { substr $text, $at, $n, bytes($n) }

    return length $text ? $text : 'x';
}

# the bytes of a connection, and whether they were damaged
sub case {
    my ($seed, $n) = @_;

    srand(($seed * 1_000_003 + $n) & 0x7fffffff);

    my $text = '';
    $text .= request() for 0 .. (often(.7) ? 0 : rand 4);

    if (often(.5)) {
        $text = damage($text) for 0 .. rand 3;
    }

    # a request that is cut off gets no answer

    return "$text\r\n\r\n";
}


# ---- the answers -----------------------------------------------------------

my $JSON = JSON::PP->new->utf8->allow_nonref;

# what may stand in an answer: no client's text becomes a header
my %KNOWN = map { lc, 1 } qw(
    Server Date Content-Type Content-Length Connection Transfer-Encoding
    X-Location X-Request-Id ETag Cache-Control Vary WWW-Authenticate Allow
    Last-Modified Content-Disposition X-Content-Type-Options Accept-Ranges
    Content-Range Content-Encoding X-RateLimit-Limit X-RateLimit-Remaining
    Retry-After
);

my %OURS = map { $_ => 1 } qw(200 206 304 400 401 403 404 405 412 413 416 422
                              429);

# without a location: what nginx finds wrong before it has one
my %NGINX = map { $_ => 1 } qw(400 405 413 414 501 505);

my %SHAPE = (
    project => { list => qr/^\{"ok":true,"data":\{.*\}\}\z/,
                 error => qr/^\{"ok":false,"data":null,"error":\{"code":"/ },
    user => { list => qr/^\{"data":\[.*"meta":\{[^}]*\}\}\z/,
              error => qr/^\{"message":"[^"]/ },
);

my $END = qr{^(?:HTTP/1\.1 \d|\z)};

my (%seen, %request_ids, $answers);

# the exchange: what came until the server's end
sub exchange {
    my ($text) = @_;
    my $c = $t->connect;

    $c->send($text);
    shutdown $c->{socket}, 1;

    return $c->rest;
}

# one answer off the front, or what is wrong
sub take {
    my ($in, $head) = @_;
    my %r = (headers => {});

    $$in =~ s/^HTTP\/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[^\r\n]+\r\n)*)\r\n//
        or return ['not an answer: ' . substr $$in, 0, 200];
    ($r{status}, my $lines) = ($1, $2);

    for (split /\r\n/, $lines) {
        /^([A-Za-z-]+): ([^\x00-\x1f\x7f]*)$/ or return ["a header: $_"];
        push @{ $r{headers}{lc $1} }, $2;
    }

    return \%r if $r{status} == 100;

    my $length = $r{headers}{'content-length'};
    $r{body} = '';

    if ($r{status} == 304 || $head && is_bodyless($$in, $length)) {
        return \%r;

    } elsif ($r{headers}{'transfer-encoding'}) {
        while ($$in =~ s/^([0-9a-f]+)\r\n//) {
            my $n = hex $1;
            return ['a short chunk'] if length $$in < 2 + $n;
            $r{body} .= substr $$in, 0, $n, '';
            $$in =~ s/^\r\n// or return ['the end of a chunk'];
            return \%r if $n == 0;
        }
        return ['no last chunk'];

    } elsif ($length) {
        return ['a short body'] if length $$in < $length->[0];
        $r{body} = substr $$in, 0, $length->[0], '';

    } else {
        $r{body} = $$in;
        $$in = '';
    }

    return \%r;
}

# after HEAD the next answer, or the end, stands where the body would; one of
# HTTP/0.9 as well, of another length
sub is_bodyless {
    my ($in, $length) = @_;
    my $rest = $length && length $in >= $length->[0]
        ? substr $in, $length->[0] : 'short';

    return $in =~ $END || is_bare($in) && $rest !~ $END;
}

sub faults_of {
    my ($r) = @_;
    my $h = $r->{headers};
    my $whose = $h->{'x-location'}[0] // 'nginx';
    my @faults = map { "the header $_" } grep { !$KNOWN{$_} } keys %$h;

    # a location that our handler leads to, and nobody else

    $whose = $h->{'x-request-id'} ? 'project' : 'other' if $whose eq 'storage';

    $seen{$whose}{ $r->{status} }++;
    $answers++;

    if ($whose eq 'other' || $whose eq 'nginx') {
        push @faults, "status $r->{status} of $whose"
            if !$NGINX{ $r->{status} } && $whose eq 'nginx'
               || $r->{status} >= 500 && !$NGINX{ $r->{status} };
        push @faults, 'JSON outside of our locations' if $h->{'x-request-id'};
        return @faults;
    }

    my $id = join ' ', @{ $h->{'x-request-id'} || [] };
    push @faults, "status $r->{status}" if !$OURS{ $r->{status} };
    push @faults, "X-Request-Id: $id"
        if $id !~ /^$Exports::Test::REQUEST_ID\z/ || $request_ids{$id}++;

    return @faults if $h->{'content-encoding'} || $r->{body} eq '';

    my $json = $r->{status} >= 400
               || ($h->{'content-type'}[0] // '') eq 'application/json';

    push @faults, 'not JSON' if $json && !json_of($r, $whose);
    push @faults, 'no attachment'
        if !$json && !$h->{'content-disposition'};

    return @faults;
}

sub json_of {
    my ($r, $whose) = @_;
    my $type = $r->{headers}{'content-type'}[0] // '';

    return if $type ne 'application/json' || $r->{body} =~ /[\x00-\x1f]/;

    # lists are decoded now and then: it is slow

    my $decoded = $r->{status} < 400 && $answers % 20
                  || eval { $JSON->decode($r->{body}) };

    return $decoded
           && $r->{body} =~ $SHAPE{$whose}{ $r->{status} < 400 ? 'list'
                                                              : 'error' };
}

# HTTP/0.9: a body that nothing announces
sub is_bare {
    my ($in) = @_;
    return $in =~ /^(?:\{"(?:ok":false|message")|<html>|(?:1,a,b\n|x\z))/;
}

# undef, or what is wrong
sub fault_of {
    my ($text) = @_;
    my $in = exchange($text);

    return if is_bare($in);

    # a client that ends in the midst of a body is gone, where an upstream has
    # to be waited for, and any that ends where a thread has, for a file

    return 'no answer'
        if $in eq '' && $text =~ /[^\r\n]/
           && $text !~ /(?:content-length|transfer-encoding)\s*:/i
           && !(THREADS && $text =~ /download|%/i);

    my $head = $text =~ /HEAD/;

    while ($in ne '') {
        my $r = take(\$in, $head);

        return $r->[0] if ref $r eq 'ARRAY';
        next if $r->{status} == 100;

        my @faults = faults_of($r);
        return join '; ', @faults, $r->{body} if @faults;
        return if is_bare($in);
    }

    return;
}

sub shown { $_[0] =~ s/([^\x20-\x7e\n])/sprintf '\\x%02x', ord $1/ger }

sub run_cases {
    my ($seed, $from, $to) = @_;
    my @faults;

    for my $n ($from .. $to) {
        my $text = case($seed, $n);
        my $fault = eval { fault_of($text) } // $@;

        next if !$fault;

        push @faults, $fault;
        diag "REQUESTS_ONLY=$seed:$n\n", shown(substr $text, 0, 3000), "\n",
             shown(substr $fault, 0, 3000);
        last if @faults == 5;
    }

    return @faults;
}

if (($ENV{REQUESTS_ONLY} // '') =~ /^(\d+):(\d+)$/) {
    diag shown(case($1, $2)), "\n", shown(exchange(case($1, $2)));
    run_cases($1, $2, $2);
}

is run_cases(1, 1, $REQUESTS / 2), 0, 'the same requests each time';
is run_cases($SEED, 1, $REQUESTS / 2), 0, 'other requests each time';

note map { my $whose = $_;
           "$whose: ", join(' ', map { "$_ x $seen{$whose}{$_}" }
                                 sort keys %{ $seen{$whose} }), "\n" }
     sort keys %seen;

# what they have to have met, or they are worth nothing

is join(' ', grep { !$seen{project}{$_} }
             qw(200 206 304 400 401 403 404 405 412 413 416)), '',
   'project: every answer that there is';
is join(' ', grep { !$seen{user}{$_} } qw(200 304 400 401 403 404 405 422 429)),
   '', 'user: every answer that there is';
is masked($t->get('/projects/demo/exports', @auth[0, 1])->body),
   masked($list->body), 'the list is as before';
is "@{[$t->workers]}", "@workers", 'the worker is the same';

$t->done;
