# The arguments of a project's list: decoding, ranges, what is reported first.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $STATUS = 'status must be ready, not_found, or all.';
my $LIMIT = 'limit must be an integer between 1 and 500.';
my $OFFSET = 'offset must be an integer of 0 or more.';

# query => limit, offset, number of matches
my @good = (
    ['', 50, 0, 3],
    ['?', 50, 0, 3],
    ['?&', 50, 0, 3],
    ['?&&limit=1&&', 1, 0, 3],

    # decoding
    ['?status=%72eady', 50, 0, 2],
    ['?%73tatus=ready', 50, 0, 2],
    ['?status=not%5ffound', 50, 0, 1],
    ['?status=not%5Ffound', 50, 0, 1],
    ['?%6c%69%6D%69%74=%31', 1, 0, 3],
    ['?limit=1%30', 10, 0, 3],
    ['?off%73et=1', 50, 1, 3],

    # the last one counts
    ['?limit=1&limit=2', 2, 0, 3],
    ['?limit=x&limit=2', 2, 0, 3],
    ['?limit=&limit=2', 2, 0, 3],
    ['?limit&limit=2', 2, 0, 3],
    ['?limit=%zz&limit=2', 2, 0, 3],
    ['?status=bad&status=ready', 50, 0, 2],
    ['?offset=-1&offset=2', 50, 2, 3],
    ['?limit=1&l%69mit=2', 2, 0, 3],

    # others are ignored, whatever they are
    ['?page=2&per_page=x&cursor', 50, 0, 3],
    ['?Limit=0&LIMIT=0&limits=0&limi=0&limit%20=0&+limit=0', 50, 0, 3],
    ['?limit[]=0&limit%00=0', 50, 0, 3],
    ['?=0&=&x=%', 50, 0, 3],
    ['?%=1&%4=1&%zz=1', 50, 0, 3],
    ['?x;limit=0', 50, 0, 3],

    # numbers
    ['?limit=1', 1, 0, 3],
    ['?limit=500', 500, 0, 3],
    ['?limit=007', 7, 0, 3],
    ['?limit=' . '0' x 1000 . '7', 7, 0, 3],
    ['?offset=0', 50, 0, 3],
    ['?offset=000', 50, 0, 3],
    ['?offset=9223372036854775807', 50, '9223372036854775807', 3],
    ['?offset=0009223372036854775807', 50, '9223372036854775807', 3],
    ['?status=all&limit=5&offset=1', 5, 1, 3],
);

# query => message
my @bad = (
    # status
    (map { ["?status=$_", $STATUS] } qw(
        READY Ready ready1 read ready%00 ready%20 %20ready +ready ready+
        not+found not-found 1 %72eady% ready%0a ready= ready%zz ready%4 %),
        '', 'all,ready', 'ready,not_found'),
    ['?status', $STATUS],
    ['?status&status', $STATUS],
    ['?status=ready&status', $STATUS],
    ['?status=ready&status=', $STATUS],
    ['?stat%75s=x', $STATUS],

    # limit
    (map { ["?limit=$_", $LIMIT] } qw(
        0 00 501 1000 -1 %2b1 +1 1+ %201 1%20 1.0 1e2 0x10 ten 1%00 1%0a
        9223372036854775808 18446744073709551617 18446744073709551616
        99999999999999999999999999999999999 1% 1%3 %zz 1= 1;), ''),
    ['?limit', $LIMIT],
    ['?limit=5&limit', $LIMIT],
    ['?limit=5&limit=', $LIMIT],
    ['?limit=' . '9' x 2000, $LIMIT],

    # offset
    (map { ["?offset=$_", $OFFSET] } qw(
        -1 -0 %2b0 +0 0+ 1.5 x 1x 9223372036854775808 18446744073709551615
        18446744073709551616 18446744073709551617 %30%), ''),
    ['?offset', $OFFSET],
    ['?offset=0&offset', $OFFSET],
    ['?offset=' . '9' x 2000, $OFFSET],

    # several: status, then limit, then offset
    ['?offset=x&limit=x&status=x', $STATUS],
    ['?offset=x&limit=x&status=all', $LIMIT],
    ['?offset=x&limit=x', $LIMIT],
    ['?offset=x&status=x', $STATUS],
    ['?offset=x&limit=1', $OFFSET],
);

plan tests => @good + @bad + 5;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    large_client_header_buffers 4 16k;
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
    }
}
EOC

my $store = $t->store('store', map { project_line(
    project => 'demo', id => "exp_$_", status => $_ ? 'ready' : 'not_found',
    created_at => stamp(1_700_000_000_000_000 + $_)) } 0 .. 2);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

my $c = $t->connect;

for (@good) {
    my ($query, $limit, $offset, $total) = @$_;
    my @ids = grep { $total == 3 || ($total == 2) == ($_ ne 'exp_0') }
              qw(exp_2 exp_1 exp_0);
    my $last = $offset + $limit - 1 < $#ids ? $offset + $limit - 1 : $#ids;

    is_page $c->get("/projects/demo/exports$query", @auth),
            [$offset > $#ids ? () : @ids[$offset .. $last]],
            { limit => $limit, offset => $offset, total => $total },
            'good: ' . substr $query, 0, 50;
}

for (@bad) {
    my ($query, $message) = @$_;

    is_error $c->get("/projects/demo/exports$query", @auth), 400,
             $message eq $STATUS ? 'invalid_export_status'
                                 : 'validation_failed',
             $message, 'bad: ' . substr $query, 0, 50;
}


# bytes that are no UTF-8, or markup, never come back

my $r = $c->get('/projects/demo/exports?status=%ff%3cb%3e&limit=%c3', @auth);
is_error $r, 400, 'invalid_export_status', $STATUS, 'bytes';
unlike $r->body, qr/\xff|<|%/, 'not echoed';


# a fragment, or a query in the path, is no query

is_page $c->get('/projects/demo/exports#?limit=0', @auth),
        [qw(exp_2 exp_1 exp_0)], { limit => 50 }, 'fragment';
is_error $c->get('/projects/demo/exports%3flimit=1', @auth), 404, 'not_found',
         'an encoded question mark is part of the path';

$c->close;
$t->done;
