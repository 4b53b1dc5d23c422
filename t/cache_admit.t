# exports_page_cache when it is full: which new pages are kept.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use Test::More;

use Exports::Test;

plan tests => 27;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    exports_page_cache 512k;
    exports_store %%DIR%%/store;
    exports_gzip on;
    add_header X-Cache $exports_cache always;
    keepalive_requests 100000;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /a/ { exports_api project; }
        location /b/ { exports_api project; }
        location /c/ { exports_api project; }
        location /d/ { exports_api project; }
    }
}
EOC

my @projects = map { "p$_" } 0 .. 9;
my $store = $t->store('store', map { my $p = $_;
    map { project_line(project => $p, id => sprintf 'exp_%s-%03d', $p, $_) }
        1 .. 200 } @projects);
my %auth = map { $_ => 'Bearer ' . $t->token($store, project => $_) } @projects;

$t->run;

my $c = $t->connect;

# page N below a prefix: all of one size
sub ask {
    my ($prefix, $n, @headers) = @_;
    my $project = $projects[$n % @projects];
    my $uri = "/$prefix/$project/exports?limit=30&offset="
              . int $n / @projects;
    return $c->request('GET', $uri, Authorization => $auth{$project}, @headers);
}

sub cache { ask(@_)->header('X-Cache') }

# how many of these are answered in this way
sub count {
    my ($how, $prefix, @pages) = @_;
    return scalar grep { $_ eq $how } map { cache($prefix, $_) } @pages;
}


# ---- until it is full ------------------------------------------------------

my $fit = 0;
$fit++ while $fit < 100 && cache('a', $fit) eq 'MISS';

cmp_ok $fit, '>', 20, "the first pages are all kept, $fit of them";
is count(HIT => 'a', 0 .. $fit - 1), $fit, 'and found again';


# ---- a walk through more pages than fit, again and again -------------------

my $walk = int 1.6 * $fit;
my @walk = (0 .. $walk - 1);

count(HIT => 'a', @walk);

for my $round (1 .. 5) {
    my $hits = count(HIT => 'a', @walk);
    cmp_ok $hits, '>', $walk / 2, "walk $round: $hits of $walk are hits";
}


# ---- other pages are asked for ---------------------------------------------

my @all = (0 .. $fit - 1);

# the old ones are idle after three times as many requests

my $kept = 0;
$kept += count(MISS => 'b', @all) for 1 .. 4;
cmp_ok $kept, '>=', $fit, "$kept of others are kept";
is count(HIT => 'b', @all), $fit, 'soon all of them';
is count(HIT => 'a', @walk), 0, 'and none of the old ones';


# ---- a scan, each page once ------------------------------------------------

my @hot = (0 .. 4);

count(HIT => 'b', @all) for 1 .. 4;
is count(HIT => 'b', @hot), @hot, 'pages in use';
is count(HIT => 'c', 0 .. 2 * $fit), 0, 'a scan';
is count(HIT => 'b', @hot), @hot, 'has not driven them out';


# ---- a page that comes into use while all that are kept are ----------------

count(HIT => 'b', @all) for 1 .. 4;

my $asks = 1;
while ($asks < 60 && cache('d', 0) ne 'HIT') {
    count(HIT => 'b', @all);
    $asks++;
}
cmp_ok $asks, '<', 60, "is found when it is asked for $asks times";


# ---- a newer version of a page ---------------------------------------------

count(HIT => 'b', @all) for 1 .. 6;
is count(HIT => 'b', @all), $fit, 'all that are kept are in use';
cmp_ok count(BYPASS => 'a', 0 .. 9), '>', 5, 'new pages are mostly not kept';
count(HIT => 'b', @all) for 1 .. 6;

$t->load($store, map { project_line(project => $_, id => "exp_$_-000") }
                     @projects);

is count(MISS => 'b', @all), $fit, 'after commits each takes its own place';
is count(HIT => 'b', @all), $fit, 'and is found there';


# ---- a page that needs the room of several --------------------------------

pop @all;
count(HIT => 'b', @all) for 1 .. 6;

my $large = $c->request('GET', '/b/p0/exports?limit=200',
                        Authorization => $auth{p0});
is $large->header('X-Cache'), 'BYPASS', 'one page is idle, a large one new';
is count(HIT => 'b', @all), @all, 'the others are still there';


# ---- compressed pages ------------------------------------------------------

my @gzip = ('Accept-Encoding' => 'gzip');

sub gzip_hits { scalar grep { cache('b', $_, @gzip) eq 'HIT' } @_ }

# some more for what is kept with a page

my $size = length(ask('b', 0, @gzip)->body) + 250;
@walk = (0 .. int 1.6 * 512 * 1024 / $size);
gzip_hits(@walk) for 1 .. 4;

for my $round (1, 2) {
    my $hits = gzip_hits(@walk);
    cmp_ok $hits, '>', @walk / 2,
           "compressed, walk $round: $hits of " . @walk . ' are hits';
}

for my $how ('HIT', 'BYPASS') {
    my ($n, $r);
    for (@walk) {
        $n = $_;
        $r = ask('b', $n, @gzip);
        last if $r->header('X-Cache') eq $how;
    }

    my ($body, $text) = ($r->body, 'damaged');
    IO::Uncompress::Gunzip::gunzip(\$body, \$text, Strict => 1);
    is $r->header('X-Cache'), $how, "one of them: $how";
    ok masked($text) eq masked(ask('b', $n)->body), 'it is the page';
}

$c->close;
$t->done;
