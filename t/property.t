# Random requests between random writes, against a model that is slow and
# obvious.  PROPERTY_SEED repeats a run.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $ROUNDS = $ENV{PROPERTY_ROUNDS} || 40;
my $REQUESTS = 60;

my $seed = $ENV{PROPERTY_SEED} // (time ^ $$ << 8) & 0x7fffffff;
srand $seed;

plan tests => $ROUNDS + 3;
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
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
    }
}
EOC


# ---- the model -------------------------------------------------------------

# a project: how many manifests it begins with, how many different times they
# have, how its statuses lie: a share, or clusters of this many
my %projects = (
    none => { n => 0, times => 1, share => 0.5 },
    one => { n => 1, times => 10, share => 0.5 },
    some => { n => 30, times => 20, share => 0.3 },
    ready => { n => 100, times => 1000, share => 0 },
    ties => { n => 400, times => 5, share => 0.5 },
    same => { n => 150, times => 1, share => 0.2 },
    sparse => { n => 1200, times => 900, share => 0.01 },
    dense => { n => 1200, times => 100_000, share => 0.97 },
    clusters => { n => 1200, times => 1200, cluster => 150 },
);

my @texts = ('contacts', "a \"b\" \\c\n\t", "\x{e4}\x{20ac}\x{1f600}",
             'x' x 300, '/slash/', '<&>');
my $serial = 0;

sub pick { $_[rand @_] }

sub any_time {
    my ($p) = @_;
    # steps of less than a second, and more
    return 1_600_000_000_000_000
           + int(rand $p->{times}) * ($p->{times} > 2000 ? 37 : 61_111_111);
}

sub any_status {
    my ($p, $time) = @_;
    my $miss = $p->{cluster}
               ? int(($time - 1_600_000_000_000_000) / 61_111_111
                     / $p->{cluster}) % 2
               : rand() < $p->{share};
    return $miss ? 'not_found' : 'ready';
}

sub any_manifest {
    my ($project, $id) = @_;
    my $p = $projects{$project};
    my $time = any_time($p);

    return {
        project => $project, id => $id // 'exp_' . ++$serial, time => $time,
        status => any_status($p, $time), table => pick(@texts),
        download_name => pick(@texts), row_count => pick(undef, 0, 12345),
    };
}

sub line {
    my ($m) = @_;
    my %manifest = (%$m, created_at => stamp($m->{time}));
    delete $manifest{time};
    return project_line(%manifest);
}

# an item as it is sent
sub item {
    my ($m) = @_;
    my ($table, $name, $rows) = map { json_text($_) }
        @$m{qw(table download_name row_count)};

    return qq({"id":"$m->{id}","kind":"table_export","scope":"project",)
         . qq("project":"$m->{project}","table":$table,"format":"csv",)
         . qq("download_name":$name,"download_url":"/projects/$m->{project})
         . qq(/export/download/$m->{id}","storage_backend":"local",)
         . qq("content_type":"text/csv; charset=utf-8","row_count":$rows,)
         . qq("table_count":null,"size_bytes":2048,"status":"$m->{status}",)
         . qq("status_reason":null,"missing_at":null,"created_at":")
         . stamp($m->{time}) . qq(","expires_at":null});
}

sub answer {
    my ($ok, $data, $error) = @_;
    return qq({"ok":$ok,"data":$data,"error":$error,"request_id":"REQ",)
         . qq("meta":{"generated_at":"NOW"}});
}

sub failure { answer('false', 'null', qq({"code":"$_[0]","message":"$_[1]"})) }

# the status and the body that a request must get
sub expected {
    my ($project, %args) = @_;
    my $status = $args{status} // 'all';
    my $limit = $args{limit} // 50;
    my $offset = $args{offset} // 0;

    return (400, failure('invalid_export_status',
                         'status must be ready, not_found, or all.'))
        if $status !~ /^(?:ready|not_found|all)\z/;
    return (400, failure('validation_failed',
                         'limit must be an integer between 1 and 500.'))
        if $limit !~ /^\d{1,9}\z/ || $limit < 1 || $limit > 500;
    return (400, failure('validation_failed',
                         'offset must be an integer of 0 or more.'))
        if $offset !~ /^\d{1,18}\z/;

    $limit += 0;
    $offset += 0;

    my @all = sort { $b->{time} <=> $a->{time} || $b->{tie} cmp $a->{tie} }
              grep { $status eq 'all' || $_->{status} eq $status }
              values %{ $projects{$project}{manifests} };
    my $total = @all;
    my $last = $offset + $limit > $total ? $total - 1 : $offset + $limit - 1;
    my $items = join ',', map { $_->{text} //= item($_) }
                          $offset < $total ? @all[$offset .. $last] : ();

    return (200, answer('true', qq({"exports":[$items],"total":$total,)
                                . qq("limit":$limit,"offset":$offset}), 'null'));
}

sub remember {
    my ($m) = @_;
    $m->{tie} = tie($m->{id});
    delete $m->{text};
    $projects{ $m->{project} }{manifests}{ $m->{id} } = $m;
    $projects{ $m->{project} }{version}++;
}


# ---- the store, and writes to it -------------------------------------------

my @first = map { my $p = $_; map { any_manifest($p) } 1 .. $projects{$p}{n} }
            sort keys %projects;

my $store = $t->store('store', map { line($_) } @first);
remember($_) for @first;

for (sort keys %projects) {
    $projects{$_}{auth} =
        [Authorization => 'Bearer ' . $t->token($store, project => $_)];
    $projects{$_}{version} //= 0;
}

$t->run;

sub write_some {
    my @batch;

    for (1 .. 1 + rand 4) {
        my $project = pick(sort keys %projects);
        my $manifests = $projects{$project}{manifests} //= {};
        my @ids = sort keys %$manifests;

        # new ones, and replacements: with another time, or only another
        # status, or nothing changed at all

        push @batch, map { any_manifest($project) } 1 .. rand 8;

        if (@ids) {
            push @batch, map { any_manifest($project, pick(@ids)) } 1 .. rand 8;
            push @batch, map { my $m = $manifests->{ pick(@ids) };
                               +{ %$m{qw(project id time table download_name
                                         row_count)},
                                  status => pick(qw(ready not_found)) } }
                         1 .. rand 4;
        }
    }

    if (@batch) {
        $t->load($store, map { line($_) } @batch);
        remember($_) for @batch;
    }

    my $project = pick(sort keys %projects);
    my $manifests = $projects{$project}{manifests} || {};
    my @ids = sort keys %$manifests;
    my %gone = map { pick(@ids) => 1 } @ids ? 1 .. rand 6 : ();

    if (%gone) {
        $t->ctl_ok('delete', $store, '--project', $project, sort keys %gone);
        delete @$manifests{keys %gone};
        $projects{$project}{version}++;
    }
}


# ---- requests --------------------------------------------------------------

sub any_args {
    my ($n) = @_;
    my %args;

    $args{status} = rand() < 0.05 ? pick('', 'x', 'Ready', 'ready,all')
                                  : pick(qw(ready not_found all))
        if rand() < 0.7;
    $args{limit} = rand() < 0.05 ? pick('', 0, 501, '1x', '9' x 30)
                   : rand() < 0.3 ? pick(1, 2, 50, 499, 500, '010')
                   : 1 + int rand(rand() < 0.8 ? 60 : 500)
        if rand() < 0.7;
    $args{offset} = rand() < 0.05 ? pick('', -1, 'x', '9' x 30)
                    : rand() < 0.2 ? pick(0, 1, $n - 1 < 0 ? 0 : $n - 1, $n,
                                          $n + 1, '9' x 18)
                    : int rand($n + 10)
        if rand() < 0.7;

    return %args;
}

# what was last answered: { uri => [version of the project, ETag, body] }
my %last;
my ($count, $not_modified) = (0, 0);

# the total and the first items of a page; '' if it is none
sub brief {
    my ($page) = @_;
    my @items = @{ $page->{exports} || [] };

    $#items = 9 if @items > 10;

    return join ' ', $page ? "total $page->{total}:" : (),
                     map { "$_->{id}\@$_->{created_at}" } @items;
}

sub ask {
    my ($c) = @_;
    my $project = pick(sort keys %projects);
    my $p = $projects{$project};
    my %args = any_args(scalar keys %{ $p->{manifests} || {} });

    # the same ones again now and then

    my $query = join '&', map { "$_=$args{$_}" } sort keys %args;
    my $uri = "/projects/$project/exports" . ($query ne '' ? "?$query" : '');
    my $last = rand() < 0.5 ? $last{$uri} : undef;

    my ($status, $body) = expected($project, %args);
    my $r = $c->get($uri, @{ $p->{auth} },
                    $last ? ('If-None-Match' => $last->[1]) : ());
    $count++;

    if ($r->status == 304 && $last) {
        $not_modified++;
        return "$uri: 304, but it has changed" if $last->[2] ne $body;
        return;
    }

    return "$uri: not a 304, but nothing has changed"
        if $last && $last->[0] == $p->{version};
    return "$uri: status " . $r->status . ", not $status"
        if $r->status != $status;

    $last{$uri} = [$p->{version}, $r->header('ETag'), $body]
        if $status == 200;

    my $got = masked($r->body);
    return if $got eq $body;
    return if json_text(json($got)) eq json_text(json($body));

    # where the items are others, which; else the whole, for an item has changed

    my ($have, $want) = map { brief(json($_)->{data}) } $got, $body;
    return "$uri:\n  got:  $have\n  want: $want" if $have ne $want;
    return "$uri:\n  got:  $got\n  want: $body";
}

my @connections = map { $t->connect } 1 .. 4;

for my $round (1 .. $ROUNDS) {
    write_some() if $round > 1;

    my @faults = map { ask(pick(@connections)) } 1 .. $REQUESTS;

    # the whole of a project, by pages that differ in size

    my $project = pick(sort keys %projects);
    my ($offset, @ids) = 0;

    while (1) {
        my $limit = 1 + int rand 500;
        my $r = $connections[0]->get("/projects/$project/exports?limit=$limit"
                                     . "&offset=$offset",
                                     @{ $projects{$project}{auth} });
        my @page = ids($r);
        push @ids, @page;
        $offset += $limit;
        $count++;
        last if !@page;
    }

    my $manifests = $projects{$project}{manifests} || {};
    my @want = sort { $manifests->{$b}{time} <=> $manifests->{$a}{time}
                      || $manifests->{$b}{tie} cmp $manifests->{$a}{tie} }
               keys %$manifests;
    push @faults, "$project: its pages are not the whole" if "@ids" ne "@want";

    splice @faults, 5 if @faults > 5;
    ok !@faults, "round $round"
        or diag "PROPERTY_SEED=$seed\n", map { substr($_, 0, 2000) . "\n" }
                                         @faults;
}

cmp_ok $count, '>=', $ROUNDS * $REQUESTS, "$count requests";
cmp_ok $not_modified, '>', 0, "$not_modified of them not modified";

$_->close for @connections;
$t->done;
