# Random requests of both APIs to two servers of one store between random
# commits: one has a page cache that is too small, and compresses, the other
# has neither.  PROPERTY_SEED repeats a run.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use Test::More;

use Exports::Test;
use Exports::User;

my $ROUNDS = $ENV{PROPERTY_ROUNDS} || 25;
my $REQUESTS = 60;

my $seed = $ENV{PROPERTY_SEED} // (time ^ $$ << 8) & 0x7fffffff;
srand $seed;

plan tests => $ROUNDS + 5;
note "PROPERTY_SEED=$seed";

my ($warm, $cold) = map { Exports::Test->new } 1, 2;

my $CONF = <<'EOC';
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    <HTTP>
    keepalive_requests 100000;
    exports_store <STORE>;
    exports_link_key_file <KEY>;
    exports_link_ttl 365d;
    add_header X-Cache $exports_cache always;
    add_header X-Total $exports_total always;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /a/ { exports_api project; }
        location /v3 { exports_api user; }
        location /v4 { exports_api user;
                       exports_base_url https://$http_x_name; }
    }
}
EOC

sub pick { $_[rand @_] }

my @projects = ('none', 'one', 'some', 'many');
my @users = (7, 42, 'a.name');
my %most = (none => 0, one => 1, some => 60, many => 400);

sub any_time { stamp(1_600_000_000_000_000 + int(rand 5000) * 777_777) }

sub any_project {
    my ($project) = @_;
    return project_line(project => $project, created_at => any_time(),
        id => "exp_$project-" . int(rand 1 + $most{$project}),
        status => pick(qw(ready ready not_found)), row_count => int rand 1e6);
}

sub any_user {
    my ($user) = @_;
    return user_line(user => $user, requested_at => any_time(),
        uuid => "u-$user-" . int(rand 150),
        status => pick(qw(pending processing ready failed cancelled)),
        type => pick('contacts', 'deals', "\x{e4} & \x{20ac}"));
}

my $store = $warm->store('store',
    (map { my $p = $_; map { any_project($p) } 1 .. $most{$p} } @projects),
    map { my $u = $_; map { any_user($u) } 1 .. 100 } 7, 42);
my %auth = (
    (map { $_ => 'Bearer ' . $warm->token($store, project => $_) } @projects),
    map { $_ => 'Bearer ' . $warm->token($store, user => $_) } @users);
my $key = key_file($warm, 'key');

$CONF =~ s/<STORE>/$store/;
$CONF =~ s/<KEY>/$key/;
$cold->conf($CONF =~ s/<HTTP>//r)->run;
$warm->conf($CONF =~ s/<HTTP>/exports_page_cache 512k; exports_gzip on;/r)->run;

sub write_some {
    $warm->load($store, map { rand() < 0.6 ? any_project(pick(qw(one some many)))
                                           : any_user(pick(7, 42)) }
                        1 .. 1 + rand 6);
}

# few enough for some to be asked for again
sub any_uri {
    if (rand() < 0.6) {
        my $project = pick(@projects);
        my @args = ((map { "limit=$_" } grep { rand() < 0.5 }
                         pick(1, 7, 50, 200, 500)),
                    (map { "offset=$_" } grep { rand() < 0.3 }
                         pick(0, 3, 50, 100_000)),
                    (map { "status=$_" } grep { rand() < 0.4 }
                         pick(qw(ready not_found all))));
        return ($project, pick('/projects', '/a') . "/$project/exports?"
                          . join '&', @args);
    }

    return (pick(@users), pick('/v3', '/v4') . query_string(
        (map { ('filter[status][]' => $_) } grep { rand() < 0.2 }
             qw(ready pending failed)),
        (map { ('filter[type][]' => $_) } grep { rand() < 0.2 }
             'contacts', "\x{e4} & \x{20ac}"),
        rand() < 0.4 ? (page => pick(1, 2, 3, 99)) : (),
        rand() < 0.4 ? (per_page => pick(1, 10, 100)) : ()));
}

my %count;

sub text {
    my ($r) = @_;
    my $body = $r->body;

    if (($r->header('Content-Encoding') // '') eq 'gzip') {
        IO::Uncompress::Gunzip::gunzip(\$body, \my $text, Strict => 1)
            or return 'damaged';
        $count{gzip}++;
        $body = $text;
    }

    return join "\n", $r->status, $r->header('ETag') // '',
                      $r->header('X-Total') // '', masked($body);
}

my ($wc, $cc) = map { my $t = $_; [map { $t->connect } 1 .. 3] } $warm, $cold;

sub ask {
    my ($who, $uri) = any_uri();
    my $method = rand() < 0.1 ? 'HEAD' : 'GET';
    my @headers = (Authorization => $auth{$who},
                   'X-Name' => pick('a.example.com', 'b.example.com'));
    my @accept = rand() < 0.5 ? ('Accept-Encoding' => 'gzip') : ();

    my $r = pick(@$wc)->request($method, $uri, @headers, @accept);
    my $want = pick(@$cc)->request($method, $uri, @headers);

    $count{ $r->header('X-Cache') // 'none' }++;

    # what a body says of its length, where there is none

    my $length = $r->header('Content-Length') // '';
    return "$uri: length $length" if $method eq 'HEAD' && !@accept
        && $length ne $want->header('Content-Length');

    my ($got, $wanted) = map { text($_) } $r, $want;
    return if $got eq $wanted;
    return "$method $uri (@accept):\n  got:  " . substr($got, 0, 800)
           . "\n  want: " . substr($wanted, 0, 800);
}

for my $round (1 .. $ROUNDS) {
    write_some() if $round > 1;

    my @faults = map { ask() } 1 .. $REQUESTS;
    splice @faults, 3 if @faults > 3;

    ok !@faults, "round $round"
        or diag "PROPERTY_SEED=$seed\n", map { "$_\n" } @faults;
}

cmp_ok $count{$_} // 0, '>', 0, "$_: " . ($count{$_} // 0)
    for qw(HIT MISS gzip);

$_->close for @$wc, @$cc;
$cold->done;
$warm->done;
