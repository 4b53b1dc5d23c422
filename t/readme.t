# The whole configuration of README.md, with other ports and paths: nginx takes
# it, both APIs answer, and no log has a signature.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

my $built = `$t->{nginx} -V 2>&1`;

plan skip_all => 'has listeners of its own kinds' if $t->{variant};
plan skip_all => 'an nginx without some of its modules'
    if grep { $built !~ /--with-http_${_}_module/ } qw(ssl v2 realip);
plan tests => 14;

open my $fh, '<', $t->top . '/README.md' or die "README.md: $!";
my $readme = do { local $/; <$fh> };
my ($conf) = $readme =~ /^### A whole configuration\n.*?^```nginx\n(.*?)^```/ms
    or die 'no configuration';

my %places = (
    "user www-data;\n" => '', "pid /run/nginx.pid;\n" => '',
    "error_log /var/log/nginx/error.log notice;\n" => '',
    "include /etc/nginx/modules-enabled/*.conf;\n" => "%%MAIN%%\n",
    "http {\n" => "http {\n%%HTTP%%\n",
    '/var/log/nginx/exports.log' => '%%DIR%%/exports.log',
    '/var/lib/exports/store' => '%%DIR%%/store',
    '/srv/exports' => '%%DIR%%/files',
    '/etc/nginx/exports.key' => '%%DIR%%/exports.key',
    '/etc/nginx/tls/api.example.com.pem' => '%%DIR%%/tls.pem',
    '/etc/nginx/tls/api.example.com.key' => '%%DIR%%/tls.pem',
    'listen 80;' => 'listen 127.0.0.1:%%PORT%%;',
    'listen 443 ' => 'listen 127.0.0.1:%%PORT_tls%% ',
    'server 127.0.0.1:3000;' => 'server 127.0.0.1:%%PORT_nobody%%;',
    'server 127.0.0.1:9000;' => 'server 127.0.0.1:%%PORT_refused%%;',
);

my @missing = grep { index($conf, $_) < 0 } sort keys %places;
is "@missing", '', 'all that is put elsewhere is there';

$conf =~ s/^\Q$_\E/$places{$_}/m for grep { /\n\z/ } keys %places;
$conf =~ s/\Q$_\E/$places{$_}/g for grep { !/\n\z/ } keys %places;

my $key = 'k' x 64;
$t->write_file('exports.key', "$key\n");
chmod 0600, $t->path('exports.key') or die "chmod: $!";
$t->_certificate;
mkdir $t->path('files') or die "mkdir: $!";
$t->write_file('files/one.csv', "one\n");

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_1', storage_key => 'one.csv'),
    project_line(project => 'demo', id => 'exp_2', storage_backend => 's3'),
    user_line(user => 42, uuid => 'one', storage_backend => 'local',
              storage_key => 'one.csv'));
my %auth = map { $_ => [Authorization => 'Bearer '
                        . $t->token($store, $_ => $_ eq 'user' ? 42 : 'demo')] }
    qw(project user);

$t->conf($conf)->run;

# over TLS
sub get {
    my ($uri, @headers) = @_;
    my @curl = ('curl', '-sk', '-i', '--http1.1');
    push @curl, '-H', join ': ', splice @headers, 0, 2 while @headers;
    my (undef, $text) = $t->_exec({}, @curl, 'https://127.0.0.1:'
                                  . $t->port('tls') . $uri);
    return $text;
}

my $list = get('/projects/demo/exports', @{ $auth{project} });
like $list, qr/^HTTP\/1.1 200 .*"id":"exp_2".*"total":2/s, 'a list of a project';
like get('/projects/demo/export/download/exp_1', @{ $auth{project} }),
     qr/^HTTP\/1.1 200 .*^one$/ms, 'a file';
like get('/projects/demo/export/download/exp_2', @{ $auth{project} }),
     qr/^HTTP\/1.1 502 .*"ok":false/s, 'a storage that is down';
like get('/projects/demo/exports', Authorization => 'Bearer pat_' . 'x' x 40),
     qr/^HTTP\/1.1 401 .*"invalid_token"/s, 'a token that is none';

$list = get('/api/v3/exports', @{ $auth{user} });
like $list, qr/^HTTP\/1.1 200 .*"uuid":"one"/s, 'a list of a user';
like $list, qr/^X-RateLimit-Limit: 500\r$/mi, 'is limited';
my ($link) = $list =~ m{"(?:download_url|url)":"https://api\.example\.com(/[^"]+)"};
like $link // $list, qr{^/api/v3/exports/one/download\?expires=}, 'has a link';
like get($link // '/'), qr/^HTTP\/1.1 200 .*^one$/ms, 'the link has the file';

my $r = $t->get($link // '/');
is $r->status, 301, 'the same without TLS';
is $r->header('Location'), "https://api.example.com$link", 'leads there';

# a worker logs a request when it has sent the answer

my $log;
ok wait_for(sub {
    $log = $t->read_file('exports.log');
    $log =~ m{"GET /api/v3/exports/one/download HTTP/1\.1" 301 }
        && $log =~ m{"GET /api/v3/exports/one/download HTTP/1\.1" 200 }
        && $log =~ m{"GET /projects/demo/exports HTTP/1\.1" 200 .* demo 2 - };
}), 'the log has the requests' or diag $log;
unlike $log . $t->error_log, qr/signature=|pat_/, 'and no secret';

$t->done;
