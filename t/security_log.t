# What may be in the error log, at the level of debugging too: no token, no
# signature, no key in any message but those in which nginx itself shows the
# request that it parses; and no line that a client has written.

use warnings;
use strict;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new(level => 'debug');

my $debug = `$t->{nginx} -V 2>&1` =~ /--with-debug/;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_operation_zone operations:1m;
    exports_rate_zone rate:1m;
    server {
        listen 127.0.0.1:%%PORT%%;
        error_log %%DIR%%/error.log debug;
        error_log %%DIR%%/info.log info;
        exports_store %%DIR%%/store;
        exports_link_key_file %%DIR%%/keys;
        exports_root %%DIR%%/root;
        exports_redirect s3 /s3/;
        exports_operations operations;
        exports_rate_limit rate;
        location /projects/ { exports_api project; }
        location /exports { exports_api user; }
        location /s3/ {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_nobody%%/;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_down%%;
        error_log %%DIR%%/error.log debug;
        error_log %%DIR%%/info.log info;
        exports_store %%DIR%%/missing;
        exports_link_key_file %%DIR%%/keys;
        location /projects/ { exports_api project; }
        location /exports { exports_api user; }
    }
    server {
        listen 127.0.0.1:%%PORT_passed%%;
        error_log %%DIR%%/error.log info;
        error_log %%DIR%%/info.log info;
        exports_store %%DIR%%/missing;
        exports_link_key_file %%DIR%%/keys;
        location /exports {
            exports_api user;
            exports_fallback @application;
            mirror /mirror;
        }
        location @application { proxy_pass http://127.0.0.1:%%PORT_nobody%%; }
        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:%%PORT_nobody%%$request_uri;
        }
    }
}
EOC

key_file($t, 'keys');
mkdir $t->path('root') or die "mkdir: $!";
$t->write_file('root/exp_here', 'bytes');
$t->write_file('root/one', 'bytes');

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_here'),
    project_line(project => 'demo', id => 'exp_gone'),
    project_line(project => 'demo', id => 'exp_far', storage_backend => 's3'),
    project_line(project => 'demo', id => 'exp_all', table => undef,
                 kind => 'database_export'),
    user_line(user => 7, uuid => 'one'), user_line(user => 7, uuid => 'none'),
    user_line(user => 7, uuid => 'far', storage_backend => 's3'));

my %token = (
    good => $t->token($store, project => 'demo'),
    user => $t->token($store, user => 7),
    other => $t->token($store, project => 'elsewhere'),
    inactive => $t->token($store, project => 'demo', active => 0),
    revoked => $t->token($store, project => 'demo',
                         revoked_at => '2020-01-01T00:00:00Z'),
    expired => $t->token($store, user => 7,
                         expires_at => '2020-01-01T00:00:00Z'),
    unknown => 'pat_' . 'u' x 40,
);

my %signature = map {
    $_ => signature("/exports/$_/download", 4000000000) } qw(one none far);

$signature{altered} = $signature{one} =~ tr/0-9a-f/1-9a-f0/r;

sub link_of {
    my ($uuid, $signature) = @_;
    return "/exports/$uuid/download?expires=4000000000&signature="
           . $signature{$signature // $uuid};
}

$t->run;


# ---- every way to be answered ----------------------------------------------

my %status;

for my $port ('', 'down') {
    for my $name (sort keys %token) {
        my @auth = (Authorization => "Bearer $token{$name}", port => $port);

        $status{ $t->get($_, @auth)->status }++
            for '/projects/demo/exports', '/projects/demo/exports?limit=x',
                (map { "/projects/demo/export/download/exp_$_" }
                     qw(here gone far all none)),
                '/exports', '/exports?filter[nope]=1', '/exports?page=x',
                '/projects/none/at/all';

        $status{ $t->get('/projects/demo/exports', @auth,
                         'X-Operation-Key' => 'report')->status }++;
        $status{ $t->request('POST', '/exports', @auth)->status }++;
        $status{ $t->get('/projects/demo/exports', port => $port,
                         Authorization => $token{$name})->status }++;
    }

    $status{ $t->get($_, port => $port)->status }++
        for (map { link_of($_) } qw(one none far)), link_of('one', 'altered'),
            link_of('one') . '0', link_of('one') =~ s/40{9}/1/r,
            link_of('one') =~ s/\?/%3f/r, link_of('one') =~ s/\?/#/r,
            link_of('one') =~ s/\?/;x?/r,
            link_of('one') =~ s/([?&=])/sprintf '%%%02X', ord $1/ger;
}

# passed on as it came, to an application that does not answer either

$status{ $t->get(link_of($_), port => 'passed')->status }++
    for qw(one none far);

ok !(grep { !$status{$_} } 200, 400, 401, 403, 404, 405, 502, 503),
   'every way was gone' or diag explain \%status;


# ---- secrets ---------------------------------------------------------------

my %secret = ((map { $_ => $token{$_} } keys %token),
              (map { ("digest of $_" => sha256_hex($token{$_})) } keys %token),
              (map { ("signature of $_" => $signature{$_}) } keys %signature),
              key => $Exports::User::KEY);

my @lines = split /\n/, $t->error_log;

# at the level of debugging nginx itself shows all that it reads.  What is ours
# there begins with "exports", which the sources have to keep to

my @ours = grep { !/\[debug\]/ || /\[debug\] \S+ \*\d+ exports / } @lines;

my $sources = join '', map { $t->read_file($_) }
                           glob $t->top . '/ngx_exports_module/*.c';
my @texts = $sources =~ /ngx_log_debug\d\([^"]*"(\w*)/g;

cmp_ok scalar @texts, '>', 4, 'messages for debugging in the sources';
is join(' ', grep { $_ ne 'exports' } @texts), '', 'begin with "exports"';

for my $name (sort keys %secret) {
    my @found = grep { index($_, $secret{$name}) >= 0 } @ours;
    is "@found[0 .. ($#found < 2 ? $#found : 2)]", '', "not logged: $name";
}

# and what is ours beyond doubt

@ours = grep { /\*\d+ exports /
               || /request ID: $Exports::Test::REQUEST_ID/ } @lines;

cmp_ok scalar @ours, '>', 100, 'there are messages of ours';
ok !(grep { my $line = $_; grep { index($line, $_) >= 0 } values %secret }
          @ours), 'none of them has a secret';

SKIP: {
    skip 'nginx without debugging', 1 if !$debug;
    cmp_ok scalar(grep { /\[debug\] .* exports route:/ } @ours), '>', 20,
        'of the level of debugging too';
}

my $info = $t->read_file('info.log');

for my $name (sort keys %secret) {
    is index($info, $secret{$name}), -1, "not at level info: $name";
}


# ---- lines of a client's ---------------------------------------------------

my $forged = '2026/01/01 00:00:00 [crit] 1#1: *1 forged by a client';

for my $prefix ('/projects/', '/exports/', '/projects/demo/exports') {
    for my $end ("\n", "\r", "\r\n", "\x85", "\x1b[2J", "\x7f") {
        my $path = $prefix . percent("x$end$forged");
        is $t->get($path)->status, 404, 'a path with control characters';
    }
}

# the line is written before the answer is sent

$info = $t->read_file('info.log');
my @forged = $info =~ /^(.*forged.*)$/mg;

is scalar @forged, 18, 'each is in a message'
    or diag "@forged";
ok !(grep { !/\[info\] .* exports request refused: 404 not_found, client: /
                || /^\Q$forged\E/ } @forged),
   'of ours, of which it is no line' or diag "@forged";
unlike $info, qr/[\x00-\x09\x0b-\x1f\x7f]/, 'no control characters';

$t->allow_log(qr/missing" cannot be used/);

# nginx's own, at the level of debugging
$t->allow_log(qr/forged by a client/);

$t->done;
done_testing;
