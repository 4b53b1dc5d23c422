# Random filters and pages of users between random writes, against a model
# that is slow and obvious.  PROPERTY_SEED repeats a run.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

my $ROUNDS = $ENV{PROPERTY_ROUNDS} || 40;
my $REQUESTS = 60;
my $WALKS = 6;

my $seed = $ENV{PROPERTY_SEED} // (time ^ $$ << 8) & 0x7fffffff;
srand $seed;

plan tests => 2 * $ROUNDS + 4;
note "PROPERTY_SEED=$seed";

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /e { exports_api user; }
    }
}
EOC

key_file($t, 'key');


# ---- the model -------------------------------------------------------------

# a user: how many manifests they begin with, how many different times these
# have; few values, so that the lists of filters overlap much
my %users = (
    none => { n => 0, times => 1 },
    one => { n => 1, times => 1 },
    some => { n => 30, times => 9 },
    many => { n => 700, times => 80 },
    4711 => { n => 700, times => 100_000 },
    same => { n => 150, times => 1 },
);

my @statuses = qw(pending processing ready failed cancelled);
my @types = ('contacts', "a \"b\" \x{e4}+&=", 'c');
my @subjects = ('invoice', "\x{20ac}, %20");
my @ids = (0, -7, 42);
my $serial = 0;

sub pick { $_[rand @_] }

sub any_manifest {
    my ($user, $uuid) = @_;

    # statuses and types are not of one size

    return {
        user => $user, uuid => $uuid // 'e-' . ++$serial,
        time => 1_600_000_000_000_000
                + int(rand $users{$user}{times}) * 370_037,
        status => rand() < 0.5 ? 'ready' : pick(@statuses),
        type => rand() < 0.5 ? $types[0] : pick(@types),
        subject => rand() < 0.3 ? undef
                   : { type => pick(@subjects), id => pick(@ids),
                       label => pick(undef, 'x') },
        row_count => pick(undef, 0, 12345),
    };
}

sub line {
    my ($m) = @_;
    my %manifest = (%$m, requested_at => stamp($m->{time}));
    delete @manifest{qw(time tie text)};
    return user_line(%manifest);
}

# an item as it is sent, but for its signature
sub item {
    my ($m) = @_;
    my ($type, $rows) = map { json_text($_) } @$m{qw(type row_count)};
    my $s = $m->{subject};
    my $subject = $s ? '{"type":' . json_text($s->{type}) . ",\"id\":$s->{id},"
                       . '"label":' . json_text($s->{label}) . '}' : 'null';
    my $link = $m->{status} eq 'ready'
               ? qq("http://localhost/e/$m->{uuid}/download?SIGNED") : 'null';

    return qq({"uuid":"$m->{uuid}","type":$type,"status":"$m->{status}",)
         . qq("filename":"contacts.csv","file_size":2048,"row_count":$rows,)
         . qq("error_message":null,"requested_at":") . stamp($m->{time})
         . qq(","completed_at":"2026-06-02T01:24:00Z","failed_at":null,)
         . qq("subject":$subject,"download_url":$link});
}

sub remember {
    my ($m) = @_;
    my $u = $users{ $m->{user} };

    $m->{tie} = tie($m->{uuid});
    $u->{manifests}{ $m->{uuid} } = $m;
    $u->{version}++;
    delete $u->{sorted};
}

sub matches {
    my ($user, $f) = @_;
    my $u = $users{$user};

    $u->{sorted} //= [sort { $b->{time} <=> $a->{time}
                             || $b->{tie} cmp $a->{tie} }
                      values %{ $u->{manifests} || {} }];

    my @m = @{ $u->{sorted} };
    my ($statuses, $types) = map { $_ ? { map { $_ => 1 } @$_ } : undef }
                             @$f{qw(status type)};

    @m = grep { $statuses->{ $_->{status} } } @m if $statuses;
    @m = grep { $types->{ $_->{type} } } @m if $types;
    @m = grep { $_->{subject} && $_->{subject}{type} eq $f->{subject_type} } @m
        if defined $f->{subject_type};
    @m = grep { $_->{subject} && $_->{subject}{id} == $f->{subject_id} } @m
        if defined $f->{subject_id};

    return @m;
}

sub distinct { my %seen; grep { !$seen{$_}++ } @_ }

# what links carry: statuses in the order of their codes, types as they came
sub carried {
    my ($f) = @_;
    my %given = map { $_ => 1 } @{ $f->{status} || [] };

    return join '', map { substr(query_string(@$_), 1) . '&' }
        (map { ['filter[status][]', $_] }
         grep { $given{$_} } qw(ready pending processing failed cancelled)),
        (map { ['filter[type][]', $_] } distinct(@{ $f->{type} || [] })),
        (defined $f->{subject_type}
             ? ['filter[subject_type]', $f->{subject_type}] : ()),
        (defined $f->{subject_id}
             ? ['filter[subject_id]', $f->{subject_id}] : ()),
        (defined $f->{per_page} ? ['per_page', 0 + $f->{per_page}] : ());
}

# the body that a request must get
sub expected {
    my ($user, $f) = @_;
    my $page = $f->{page} // 1;
    my $per_page = $f->{per_page} // 25;
    my @m = matches($user, $f);
    my $total = @m;
    my $from = ($page - 1) * $per_page;

    @m = $from < $total
         ? @m[$from .. ($from + $per_page > $total ? $total
                                                   : $from + $per_page) - 1]
         : ();

    my $url = 'http://localhost/e?' . carried($f);
    my ($prev, $next) = map { $_ ? "\"${url}page=$_\"" : 'null' }
        $page - 1, $from + $per_page < $total ? $page + 1 : 0;

    return '{"data":[' . join(',', map { $_->{text} //= item($_) } @m)
         . qq(],"links":{"first":"${url}page=1","last":null,"prev":$prev,)
         . qq("next":$next},"meta":{"current_page":) . (0 + $page)
         . ',"from":' . (@m ? $from + 1 : 'null')
         . ',"path":"http://localhost/e","per_page":' . (0 + $per_page)
         . ',"to":' . (@m ? $from + @m : 'null') . '}}';
}


# ---- the store, and writes to it -------------------------------------------

my @first = map { my $u = $_; map { any_manifest($u) } 1 .. $users{$u}{n} }
            sort keys %users;

my $store = $t->store('store', map { line($_) } @first);
remember($_) for @first;

for (sort keys %users) {
    $users{$_}{auth} = [Authorization => 'Bearer '
                        . $t->token($store, user => $_)];
    $users{$_}{version} //= 0;
}

$t->run;

sub write_some {
    my @batch;

    for (1 .. 1 + rand 3) {
        my $user = pick(sort keys %users);
        my @uuids = sort keys %{ $users{$user}{manifests} || {} };

        # new ones, and replacements: of all, or of the status only

        push @batch, map { any_manifest($user) } 1 .. rand 6;

        if (@uuids) {
            push @batch, map { any_manifest($user, pick(@uuids)) } 1 .. rand 8;
            push @batch, map { my $m = $users{$user}{manifests}{pick(@uuids)};
                               +{ %$m{qw(user uuid time type subject
                                         row_count)},
                                  status => pick(@statuses) } } 1 .. rand 8;
        }
    }

    if (@batch) {
        $t->load($store, map { line($_) } @batch);
        remember($_) for @batch;
    }

    my $user = pick(sort keys %users);
    my $manifests = $users{$user}{manifests} || {};
    my @uuids = sort keys %$manifests;
    my %gone = map { pick(@uuids) => 1 } @uuids ? 1 .. rand 6 : ();

    if (%gone) {
        $t->ctl_ok('delete', $store, '--user', $user, sort keys %gone);
        delete @$manifests{keys %gone};
        delete $users{$user}{sorted};
        $users{$user}{version}++;
    }
}


# ---- requests --------------------------------------------------------------

sub any_filters {
    my %f;

    $f{status} = [map { pick(@statuses) } 1 .. 1 + rand 5] if rand() < 0.5;
    $f{type} = [map { rand() < 0.1 ? 'nothing' : pick(@types) } 1 .. 1 + rand 3]
        if rand() < 0.5;
    $f{subject_type} = rand() < 0.1 ? 'nothing' : pick(@subjects)
        if rand() < 0.25;
    $f{subject_id} = rand() < 0.1 ? 7 : pick(@ids) if rand() < 0.25;

    return %f;
}

# the arguments, written in one of many ways
sub written {
    my ($f) = @_;
    my @args;

    for my $list (grep { $f->{$_} } qw(status type)) {
        my @values = @{ $f->{$list} };
        my $name = "filter[$list]" . pick('', '[]', '[3]');

        push @args, rand() < 0.5 ? query_string($name, join ',', @values)
                    : map { query_string($name, $_) } @values;
    }

    push @args, map { query_string("filter[$_]", $f->{$_}) }
                grep { defined $f->{$_} } qw(subject_type subject_id);
    push @args, map { "?$_=$f->{$_}" } grep { defined $f->{$_} }
                qw(page per_page);

    return @args ? '?' . join '&', map { substr $_, 1 } @args : '';
}

sub signed { $_[0] =~ s/$Exports::User::SIGNED/SIGNED/gr }

# what was last answered: { uri => [version of the user, ETag, body] }
my %last;
my ($count, $not_modified, $walks, $pages) = (0, 0, 0, 0);

sub ask {
    my ($c) = @_;
    my $user = pick(sort keys %users);
    my $u = $users{$user};
    my %f = any_filters();

    $f{per_page} = rand() < 0.3 ? pick(1, 25, 99, 100) : 1 + int rand 100
        if rand() < 0.6;
    $f{page} = rand() < 0.1 ? pick(10 ** 6, 9 x 15)
               : rand() < 0.5 ? 1 + int rand 4
               : 1 + int rand(2 + keys(%{ $u->{manifests} || {} })
                                  / ($f{per_page} // 25))
        if rand() < 0.7;

    my $uri = '/e' . written(\%f);
    my $last = rand() < 0.5 ? $last{"$user $uri"} : undef;
    my $body = expected($user, \%f);
    my $r = $c->get($uri, @{ $u->{auth} },
                    $last ? ('If-None-Match' => $last->[1]) : ());
    $count++;

    if ($r->status == 304 && $last) {
        $not_modified++;
        return "$uri: 304, but it has changed" if $last->[2] ne $body;
        return;
    }

    return "$uri: not a 304, but nothing has changed"
        if $last && $last->[0] == $u->{version};
    return "$uri: status " . $r->status if $r->status != 200;

    $last{"$user $uri"} = [$u->{version}, $r->header('ETag'), $body];

    my $got = signed($r->body);
    return if $got eq $body;
    return "$user: $uri:\n  got:  $got\n  want: $body";
}

# all of it, by the links, on any connection
sub walk {
    my (@connections) = @_;
    my $user = pick(sort keys %users);
    my %f = any_filters();
    my @want = map { $_->{uuid} } matches($user, \%f);

    $f{per_page} = 1 + int(@want / 30) + int rand 40;
    $f{per_page} = 100 if $f{per_page} > 100;

    my $uri = '/e' . written(\%f);
    my $next = $uri;
    my $got = 0;
    my @got;
    $walks++;

    while (defined $next) {
        my $r = pick(@connections)->get($next, @{ $users{$user}{auth} });
        my @page = uuids($r);

        $pages++;
        $count++;
        push @got, @page;

        return "$user: $next: " . substr $r->raw, 0, 1000 if $r->status != 200;

        ($next) = $r->body =~ m{"next":"http://localhost(/e\?[^"]+)"};

        return "$user: $uri: " . @page . " of $f{per_page}, and a next"
            if defined $next && @page != $f{per_page};
        return "$user: $uri: no end" if @got > 10_000;
    }

    return if "@got" eq "@want";
    return "$user: $uri: " . @got . ' found by its links, not ' . @want
           . "\n  got:  @got\n  want: @want";
}

my @connections = map { $t->connect } 1 .. 4;

for my $round (1 .. $ROUNDS) {
    write_some() if $round > 1;

    for (['requests', map { ask(pick(@connections)) } 1 .. $REQUESTS],
         ['walks', map { walk(@connections) } 1 .. $WALKS])
    {
        my ($name, @faults) = @$_;

        splice @faults, 5 if @faults > 5;
        ok !@faults, "round $round: $name"
            or diag "PROPERTY_SEED=$seed\n",
                    map { substr($_, 0, 2000) . "\n" } @faults;
    }
}

cmp_ok $count, '>=', $ROUNDS * $REQUESTS, "$count requests";
cmp_ok $not_modified, '>', 0, "$not_modified of them not modified";
cmp_ok $walks, '>=', 200 * $ROUNDS / 40, "$walks walks, $pages pages";

$_->close for @connections;
$t->done;
