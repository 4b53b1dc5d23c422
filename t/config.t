# What nginx -t says of our directives.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $STORE = 'exports_store %%DIR%%/store;';

# name, where it goes, text, what is said: where: h(ttp), s(erver), l(ocation);
# the line of the text is known, unless blocks are merged when they end
my @bad = (
    ['exports_api without exports_store', s =>
     'location /a/ { exports_api project; }', qr/exports_store/],
    ['an api that is none', s =>
     "$STORE location /a/ { exports_api nothing; }", qr/"nothing"/],
    ['no api', s => "$STORE location /a/ { exports_api; }",
     qr/number of arguments/],
    ['two apis', s => "$STORE location /a/ { exports_api project;"
     . ' exports_api project; }', qr/duplicate/],
    ['an api in a server', s => "$STORE exports_api project;",
     qr/not allowed here/],
    ['an unknown parameter', s =>
     "$STORE location /a/ { exports_api project suffix=/; }", qr/"suffix=/],
    ['a parameter without a value', s =>
     "$STORE location /a/ { exports_api project prefix; }", qr/"prefix"/],
    ['a parameter twice', s =>
     "$STORE location /a/ { exports_api project prefix=/a/ prefix=/b/; }",
     qr/number of arguments/],

    # one location, one handler
    (map { ["an api behind $_", s => "$STORE location /a/ { $_; exports_api"
            . ' project; }', qr/"exports_api" shares its location/],
           ["an api before $_", s => "$STORE location /a/ { exports_api"
            . " project; $_; }", qr{of prefix "/a" shares its location}] }
        'proxy_pass http://127.0.0.1:1', 'stub_status', 'empty_gif'),

    # prefixes
    ['an empty prefix', s =>
     "$STORE location /a/ { exports_api project prefix=; }", qr/prefix/],
    ['a prefix that is relative', s =>
     "$STORE location /a/ { exports_api project prefix=a/; }", qr/prefix/],
    ['a prefix with a control character', s =>
     "$STORE location /a/ { exports_api project \"prefix=/a\tb/\"; }",
     qr/prefix/],
    (map { ["a prefix with $_", s => "$STORE location /a/ { exports_api project"
            . " prefix=$_; }", qr{invalid prefix "\Q$_\E", it must not have}] }
        qw(/a/./ /a/. /a/../a/ /./a /..)),
    ['an empty location', s => 'exports_link_key_file %%DIR%%/key; '
     . "$STORE location \"\" { exports_api user; }", qr/prefix/],
    (map { ["users at the root$_", s => "exports_link_key_file %%DIR%%/key;"
            . " $STORE location / { exports_api user$_; }",
            qr{invalid prefix "/"}] } '', ' prefix=/'),
    ['a regex location without a prefix', s =>
     "$STORE location ~ ^/a/ { exports_api project; }", qr/prefix/],
    ['a named location without a prefix', s =>
     "$STORE location \@a { exports_api project; }", qr/prefix/],

    # stores
    ['no path', h => 'exports_store;', qr/number of arguments/],
    ['an empty path', h => 'exports_store "";', qr/exports_store|path/],
    ['two stores', h => "$STORE $STORE", qr/duplicate/],
    ['an unknown parameter of a store', h =>
     'exports_store %%DIR%%/store readers=4;', qr/"readers=4"/],
    (map { ["map_size=$_", h => "exports_store %%DIR%%/store map_size=$_;",
            qr/map_size=\Q$_\E|map_size/] }
        '', 'x', '0', '-1', '1x', '64gg', '1.5g', '99999999999999999999',
        '9999999999g', '65537g', '200t', '1048575'),
    ['what map_size may be', h => 'exports_store %%DIR%%/store map_size=8388608g;',
     qr/"8388608g", it must be a size from 1m to 65536g/],

    ['an empty root', h => 'exports_root "";',
     qr/"exports_root" directive is empty/],
    ['two roots', h => 'exports_root %%DIR%%/a; exports_root %%DIR%%/b;',
     qr/duplicate/],

    # the URL of links
    (map { ["exports_base_url $_", h => "exports_base_url $_;",
            qr{invalid URL "\Q$_\E", it must begin with "http://"}] }
        qw(nonsense /exports //example.com ftp://example.com http:/a
           example.com$uri http:// https:///a http://?a http://:80)),
    (map { ["exports_base_url $_", h => "exports_base_url \"$_\";",
            qr{invalid URL "\Q$_\E", a path is put behind it}] }
        'http://a?b', 'https://a/b/?c=', 'http://a#b', '$scheme://a/?b='),
    (map { ["check=$_", h => "exports_store %%DIR%%/store check=$_;",
            qr/check=\Q$_\E|check/] }
        '', 'x', '0', '-1', '250mss', '99999999999999999999s'),
    (map { ["a store with other parameters$_", h => 'exports_store'
            . " %%DIR%%/store; server { exports_store %%DIR%%/store$_; }",
            qr{the store ".*/store" is given elsewhere with other parameters}] }
        ' map_size=1g', ' check=1s', ' immutable'),
    ['immutable with a value', h =>
     'exports_store %%DIR%%/store immutable=on;', qr/"immutable=on"/],

    # pages
    (map { ["a page cache of $_", h => "exports_page_cache $_;",
            qr/invalid size "$_" of the page cache/] }
        qw(x 0 65535 -1 1.5m 1t 99999999999999999999)),
    ['a page cache without a size', h => 'exports_page_cache;',
     qr/number of arguments/],
    ['two page caches', h => 'exports_page_cache 1m; exports_page_cache off;',
     qr/duplicate/],
    ['a page cache of a server', s => 'exports_page_cache 1m;',
     qr/not allowed here/],
    ['exports_gzip with a level', h => 'exports_gzip 6;', qr/"6"/],
    ['two of exports_gzip', h => 'exports_gzip on; exports_gzip on;',
     qr/duplicate/],

    # fallbacks
    ['a fallback that is no name', h => 'exports_fallback /app;', qr{"/app"}],
    ['a fallback without a name', h => 'exports_fallback @;', qr/"@"/],
    ['no fallback', h => 'exports_fallback;', qr/number of arguments/],
    ['two fallbacks', h => 'exports_fallback @a; exports_fallback @b;',
     qr/duplicate/],
    ['a fallback and none', h => 'exports_fallback @a; exports_fallback off;',
     qr/duplicate/],
    ['none and a fallback', h => 'exports_fallback off; exports_fallback @a;',
     qr/duplicate/],
    ['a fallback that is nowhere', h => "$STORE exports_fallback \@app;"
     . ' server { listen 127.0.0.1:%%PORT%%; server_name x;'
     . ' location /a/ { exports_api project; } }',
     qr/server "x" has no location "\@app"/],
    ['a fallback that is elsewhere', s => "$STORE exports_fallback \@app;"
     . ' location /a/ { exports_api project; } location @ap { return 200; }'
     . ' location @apple { return 200; }', qr/has no location "\@app"/],
);

# name, where, text
my @good = (
    ['exports_store in http', h => $STORE],
    ['in a server', s => "$STORE location /a/ { exports_api project; }"],
    ['in the location', s => "location /a/ { $STORE exports_api project; }"],
    ['behind the location', s => "location /a/ { exports_api project; } $STORE"],
    ['a location in a location', s =>
     "location /a/ { $STORE location /a/b/ { exports_api project; } }"],
    ['another store inside', s =>
     "$STORE location /a/ { exports_store %%DIR%%/none; exports_api project; }"],
    ['no slash', s => "$STORE location /a { exports_api project; }"],
    ['the root', s => "$STORE location / { exports_api project; }"],
    ['an exact location', s =>
     "$STORE location = /a/demo/exports { exports_api project prefix=/a/; }"],
    ['a regex location', s =>
     "$STORE location ~ ^/a/ { exports_api project prefix=/a/; }"],
    ['a prefix with dots', s =>
     "$STORE location /.a/ { exports_api project prefix=/.a/a../...; }"],
    ['a prefix without a slash', s =>
     "$STORE location ~ ^/a/ { exports_api project prefix=/a; }"],
    ['^~', s => "$STORE location ^~ /a/ { exports_api project; }"],
    (map { ["map_size=$_", h => "exports_store %%DIR%%/store map_size=$_;"] }
        qw(1m 512M 64g 1G 1048576 65536g)),
    (map { ["exports_base_url $_", h => "exports_base_url $_;"] }
        qw(http://a HTTPS://a/b/ http://$host $scheme://a $http_x_base)),
    (map { ["check=$_", h => "exports_store %%DIR%%/store check=$_;"] }
        qw(100ms 250ms 1s 1m)),
    ['all parameters', h =>
     'exports_store %%DIR%%/store immutable check=1s map_size=1g;'],
    ['a store twice, with the same parameters', h =>
     'exports_store %%DIR%%/store check=1s map_size=1g; server {'
     . ' exports_store %%DIR%%/store map_size=1024m check=1000ms; }'],
    ['a relative path', h => 'exports_store store;'],
    (map { ["a page cache of $_", h => "exports_page_cache $_;"] }
        qw(off 64k 65536 8m 1g)),
    ['exports_gzip', h => 'exports_gzip on;'],
    ['exports_gzip in a server and location', s =>
     'exports_gzip on; location /a/ { exports_gzip off; }'],
    ['a path that is not there', s => 'exports_store %%DIR%%/none;'
     . ' location /a/ { exports_api project; }'],
    ['a fallback', s => "$STORE exports_fallback \@app;"
     . ' location /a/ { exports_api project; } location @app { return 200; }'],
    ['variables', h => 'log_format a "$exports_request_id $exports_scope '
     . '$exports_total $exports_error $exports_cache";'],
    (map { ["an api and $_", s => "$STORE location /a/ { exports_api project;"
            . " $_ } location \@app { return 200; }"] }
        'return 403;', 'if ($arg_a) { proxy_pass http://127.0.0.1:1; }',
        'limit_except GET { deny all; }', 'if ($arg_a) { return 200; }',
        'limit_except GET { proxy_pass http://127.0.0.1:1; }',
        'location /a/b { proxy_pass http://127.0.0.1:1; }',
        'location /a/b { exports_api project; }',
        'exports_fallback @app;', 'error_page 403 @app;', 'deny all;',
        'try_files $uri /b;', 'mirror /b;', 'auth_request /b;'),
    ['an api in proxy_pass', s => "$STORE location /a/ { proxy_pass"
     . ' http://127.0.0.1:1; location /a/b/ { exports_api project; } }'],
    ['two APIs of one store', s => "$STORE location /a/ { exports_api project; }"
     . ' location /b/ { exports_api project; }'],
);

plan tests => 2 * @bad + @good + 24;

my $t = Exports::Test->new;
$t->store('store');
chmod 0600, $t->write_file('key', 'k' x 32);

# returns what nginx -t said, and the number of the line of the text
sub check {
    my ($where, $text) = @_;
    my %at = (h => '', s => '', $where => $text);

    return $t->check_conf(<<"EOC");
%%MAIN%%
events { }
http {
    %%HTTP%%
    $at{h}
    server {
        listen 127.0.0.1:%%PORT%%;
        $at{s}
    }
}
EOC
}

my %line = (h => 5, s => 8);

for (@bad) {
    my ($name, $where, $text, $said) = @$_;
    my ($exit, $message) = check($where, $text);

    is $exit, 1, "$name: refused" or diag $message;
    my ($emerg) = $message =~ /\[emerg\] (.*)/;
    my $line = $name =~ /without exports_store|api before/ ? '\d+'
                                                            : $line{$where};
    ok defined $emerg && $emerg =~ $said && $emerg =~ m{check\.conf:$line\b},
       "$name: why, and the line"
        or diag $message;
}

for (@good) {
    my ($name, $where, $text) = @$_;
    my ($exit, $message) = check($where, $text);

    is $exit, 0, "$name: accepted" or diag $message;
}

# locations that a list cannot be in: name, API and prefix; where it is

for (['/a/', 'user', '/a'], ['/a/', 'user prefix=/a', '/a'],
     ['/a', 'user'], ['/', 'user prefix=/a/'], ['= /a', 'user'],
     ['= /a/', 'user', '/a'], ['= /a', 'user prefix=/b', '/b'],
     ['~ /a/', 'user prefix=/b'], ['@a', 'user prefix=/b'],
     ['/a/', 'project'], ['/a', 'project'], ['/', 'project'],
     ['/', 'project prefix=/a/'], ['/a/demo/', 'project prefix=/a/'],
     ['/aa/', 'project prefix=/a/', '/a/{project}/exports'],
     ['/a/', 'project prefix=/aa/', '/aa/{project}/exports'],
     ['= /a', 'project', '/a/{project}/exports'],
     ['= /a/', 'project', '/a/{project}/exports'],
     ['= /a/demo/exports', 'project prefix=/a'],
     ['~ /a/', 'project prefix=/b'], ['@a', 'project prefix=/b'])
{
    my ($location, $api, $list) = @$_;
    my ($exit, $message) = check(s => 'exports_link_key_file %%DIR%%/key; '
        . "$STORE location $location { exports_api $api; }");
    my ($where) = $message =~ /\[warn\].* at "(.*)", which the location/;

    is "$exit " . ($where // 'no warning'), '0 ' . ($list // 'no warning'),
       "exports_api $api in $location" or diag $message;
}

# relative paths are nginx's prefix

ok !-e 'store', 'nothing is made in the working directory';

my ($exit, $said) = check(s => "$STORE location /a/ { exports_api user; }");
SKIP: {
    skip 'the user API is not there yet', 1
        if $said =~ /"user"/ && $said !~ /key/;
    is $exit, 1, 'the user API without a key file: refused' or diag $said;
}

$t->done;
