# Filters of the user exports API: spellings, which values they take, and
# that a page's links say the same as the request.  FILTERS_SEED repeats a run.

use warnings;
use strict;

use FindBin;
use List::Util qw(shuffle);
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

my $seed = $ENV{FILTERS_SEED} // (time ^ $$ << 8) & 0x7fffffff;
srand $seed;
note "FILTERS_SEED=$seed";

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    large_client_header_buffers 4 16k;
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /exports { exports_api user; }
    }
}
EOC

key_file($t, 'key');


# ---- manifests: two of each status and type, types that are hard to write --

my @statuses = qw(pending processing ready failed cancelled);

my @types = ('contacts', 'Contacts', 'a b', 'a+b', 'a%20b', 'a&b=c', 'a;b',
    'a#b?c', '[]', ']', 'filter[type]', '"', '\\', '/', '%', '%zz', '+', ' ',
    "\n", "\x01", "\x7f", "\x{e4}", "\x{20ac}", "\x{1f600}", "\x{10ffff}",
    "e\x{301}", "\x{e9}", "\x{2028}", '0', 'null', 'ready', 'x' x 1024,
    "\x{e4}" x 512, '-', "'", '<b>', 'a.b', 'a|b');

# subject types may have commas too
my @subjects = (@types[0 .. 29], 'a,b', ',');
my $lowest = -9223372036854775807 - 1;
my @ids = (0, 1, -1, 42, 9223372036854775807, -9223372036854775807, $lowest);

my @all;
my $n = 0;

for my $type (@types) {
    for my $status (@statuses) {
        push @all, { uuid => sprintf('e-%05d', $n), type => $type,
            status => $status, requested_at => stamp(1_700_000_000_000_000
                                                     + int($n / 3)),
            subject => $n % 4 == 0 ? undef
                       : { type => $subjects[$n % @subjects],
                           id => $ids[$n % @ids], label => 'x' } };
        $n++;
    }
}

my @sorted = map { $_->[0] }
             sort { $b->[1] <=> $a->[1] || $b->[2] cmp $a->[2] }
             map { [$_, micros($_->{requested_at}), tie($_->{uuid})] } @all;

my $store = $t->store('store', map { user_line(%$_) } @all);
my @auth = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->run;

my $c = $t->connect;
my $url = 'http://localhost/exports';

sub get { $c->get("/exports$_[0]", @auth) }

# the matches of { status => [...], type => [...], subject_type, subject_id }
sub matches {
    my ($f) = @_;

    return map { $_->{uuid} } grep {
        my $m = $_;
        (!$f->{status} || grep { $_ eq $m->{status} } @{ $f->{status} })
        && (!$f->{type} || grep { $_ eq $m->{type} } @{ $f->{type} })
        && (!defined $f->{subject_type} || $m->{subject}
            && $m->{subject}{type} eq $f->{subject_type})
        && (!defined $f->{subject_id} || $m->{subject}
            && $m->{subject}{id} == $f->{subject_id})
    } @sorted;
}

# all pages from one on by their links; what is on them, and faults
sub walk {
    my ($args) = @_;
    my (@uuids, @faults, $first);
    my $page = 1;
    my $next = "/exports$args";
    my $last;

    while (defined $next) {
        my $r = $c->get($next, @auth);
        my $links = ($r->json // {})->{links} // return "$next: " . $r->raw;

        $first //= $links->{first};
        push @faults, "$next: first: $links->{first}"
            if $links->{first} ne $first;
        push @faults, "$next: prev: " . ($links->{prev} // 'null')
            if ($links->{prev} // '')
               ne ($page == 1 ? '' : $first =~ s/page=1\z/'page=' . ($page - 1)
                                                /er);
        push @faults, "$next: a byte that is not encoded"
            if grep { defined && /[^A-Za-z0-9.~_%:\/?&=-]/ } values %$links;

        push @uuids, uuids($r);
        $last = $r->body;
        $next = $links->{next} // last;
        $next =~ s{^http://localhost}{} or return "next: $next";
        last if ++$page > 1000;
    }

    # the first page again, now by its link: the same bytes

    my $again = $c->get($first =~ s{^http://localhost}{}r, @auth)->body;
    my $asked = get($args)->body;
    push @faults, "first: $first: another page" if $again ne $asked;

    return (\@uuids, @faults);
}

# whatever way it is written, all of it is found by following the links
sub filter_is {
    my ($args, $f, $name) = @_;
    my ($uuids, @faults) = walk($args);
    my @want = matches($f);

    if (ref $uuids) {
        push @faults, scalar(@$uuids) . " found, not " . @want . ": "
                      . join ' ', grep { defined } @$uuids[0 .. 9]
            if "@$uuids" ne "@want";
    } else {
        push @faults, $uuids;
    }

    ok !@faults, $name // $args
        or diag "FILTERS_SEED=$seed\n$args\n", join "\n", @faults;
}


# ---- spellings -------------------------------------------------------------

my %two = (status => [qw(ready failed)]);

filter_is($_, \%two) for map { "?$_" } (
    'filter[status][]=ready&filter[status][]=failed',
    'filter%5Bstatus%5D%5B%5D=ready&filter%5Bstatus%5D%5B%5D=failed',
    'filter%5bstatus%5d%5b%5d=ready&filter%5bstatus%5d%5b%5d=failed',
    'filter[status][0]=ready&filter[status][1]=failed',
    'filter[status][7]=ready&filter[status][7]=failed',
    'filter[status][a]=ready&filter[status][]=failed',
    'filter[status]=ready&filter[status]=failed',
    'filter[status]=ready,failed', 'filter[status]=failed,ready',
    'filter[status][]=ready,failed', 'filter[status][3]=ready%2Cfailed',
    'filter[status]=ready&filter[status][]=failed',
    'filter[status%5D[]=failed&%66ilter%5Bstatus]=%72eady',
    'filter[status]=ready,ready,failed,ready',
    '&&filter[status]=ready&&filter[status]=failed&',
    'x=1&filter[status]=ready&page=1&filter[status]=failed&y',
    'per_page=7&filter[status]=failed,ready',
    'filter[status]=ready,failed&per_page=1',
);

filter_is("?filter[status]=$_", { status => [$_] }) for @statuses;
filter_is('?filter[status]=' . join(',', @statuses), {}, 'all statuses');
filter_is('?filter[status]=' . join(',', @statuses[0 .. 3]),
          { status => [@statuses[0 .. 3]] }, 'all but one');
filter_is('', {}, 'no filter');
filter_is('?filter[status]=ready&filter[type]=contacts',
          { status => ['ready'], type => ['contacts'] }, 'both hold');
filter_is('?filter[type]=contacts,Contacts&filter[type][]=nothing,contacts',
          { type => ['contacts', 'Contacts'] }, 'types add up');
filter_is('?filter[type]=nothing', { type => [] }, 'no match');
filter_is('?filter[type]=contact', { type => [] }, 'not a prefix');

# the links: one spelling for all of these

my $first = get('?filter[status]=failed,ready')->json->{links}{first};
is $first, "$url?filter%5Bstatus%5D%5B%5D=ready"
           . '&filter%5Bstatus%5D%5B%5D=failed&page=1', 'encoded, brackets too';
is get('?filter[type]=a,b,a&filter[subject_type]=c&filter[subject_id]=007'
       . '&per_page=010')->json->{links}{first},
   "$url?filter%5Btype%5D%5B%5D=a&filter%5Btype%5D%5B%5D=b"
   . '&filter%5Bsubject_type%5D=c&filter%5Bsubject_id%5D=7&per_page=10&page=1',
   'all there are, each value once';


# ---- single values: the last counts ----------------------------------------

filter_is('?filter[subject_id]=1&filter[subject_id]=42', { subject_id => 42 });
filter_is('?filter[subject_id][]=x&filter[subject_id][0]=42',
          { subject_id => 42 });
filter_is('?filter[subject_type]=x&filter[subject_type]=contacts',
          { subject_type => 'contacts' });
filter_is('?filter[subject_type]=a,b', { subject_type => 'a,b' });
filter_is('?filter[subject_type]=,', { subject_type => ',' });
filter_is("?filter[subject_id]=$_", { subject_id => $_ }) for @ids, 7;
filter_is('?filter[subject_id]=-0', { subject_id => 0 });
filter_is('?filter[subject_id]=-01', { subject_id => -1 });
filter_is("?filter[subject_id]=-00${\ substr $lowest, 1}",
          { subject_id => $lowest });
cmp_ok scalar(matches({ subject_id => $lowest })), '>', 1,
       'there are some of the lowest ID';
like get("?filter[subject_id]=$lowest")->body,
     qr/"subject":\{"type":"[^"]+","id":-9223372036854775808,/,
     'the lowest ID as it is shown';
filter_is('?filter[subject_type]=contacts&filter[subject_id]=' . $_,
          { subject_type => 'contacts', subject_id => $_ }) for @ids;


# ---- any value -------------------------------------------------------------

sub shown {
    my ($text) = @_;
    return length $text > 20 ? length($text) . ' characters'
           : $text =~ s/([^!-~])/sprintf 'U+%04X', ord $1/ger;
}

for (@types) {
    filter_is(query_string('filter[type]', $_, per_page => 2),
              { type => [$_] }, 'type ' . shown($_));
}

for (@subjects) {
    filter_is(query_string('filter[subject_type]', $_, per_page => 2),
              { subject_type => $_ }, 'subject type ' . shown($_));
}

# as little encoded as may be

for (grep { length($_) < 20 && !/[^ -~]/ && !/[+%&#]/ } @types) {
    filter_is('?filter[type]=' . tr/ /+/r, { type => [$_] },
              'type as it is: ' . shown($_));
}


# ---- at random -------------------------------------------------------------

sub pick { $_[rand @_] }

sub encode {
    my ($text) = @_;
    my $encoded = component($text);

    # some bytes that need not be
    $encoded =~ s/(?<!%)(?<!%.)([A-Za-z0-9])/
                  rand() < 0.1 ? sprintf('%%%02x', ord $1) : $1/ge;
    $encoded =~ s/%20/rand() < 0.5 ? '+' : '%20'/ge;
    $encoded =~ s/(%[0-9A-F]{2})/rand() < 0.5 ? lc $1 : $1/ge;

    return $encoded;
}

sub name {
    my ($filter, $list) = @_;
    my $name = "filter[$filter]";

    $name .= pick('', '[]', '[0]', '[17]', '[x]') if $list;
    $name =~ s/([][])/rand() < 0.5 ? component($1) : $1/ge;

    return $name;
}

# a list of values in one argument or several
sub spelled {
    my ($filter, @values) = @_;
    my @args;

    while (my @some = splice @values, 0, 1 + rand 3) {
        push @args, name($filter, 1) . '='
                    . join pick(',', '%2C', '%2c'), map { encode($_) } @some;
    }

    return @args;
}

for my $round (1 .. 150) {
    my (%f, @args);

    $f{status} = [map { pick(@statuses) } 1 .. 1 + rand 5] if rand() < 0.5;
    $f{type} = [map { pick(@types) } 1 .. 1 + rand 8] if rand() < 0.6;
    $f{subject_type} = pick(@subjects) if rand() < 0.3;
    $f{subject_id} = pick(@ids) if rand() < 0.3;

    push @args, spelled($_, @{ $f{$_} }) for grep { $f{$_} } qw(status type);
    push @args, name('subject_type') . '=' . encode($f{subject_type})
        if defined $f{subject_type};
    push @args, name('subject_id') . "=$f{subject_id}"
        if defined $f{subject_id};
    push @args, 'per_page=' . pick(1, 2, 3, 7, 25, 50, 100)
        if rand() < 0.5;
    push @args, pick('x=y', 'sort=-a', '', 'page=1') if rand() < 0.3;

    filter_is('?' . join('&', shuffle(@args)), \%f,
              "at random: $round");
}

$c->close;
$t->done;
done_testing;
