package Soak::Client;

# One client of the soak, in a process of its own: requests of every kind in a
# random order, and each answer held against the contract.

use warnings;
use strict;

use IO::Uncompress::Gunzip ();
use Time::HiRes ();

use Exports::Test;

our @PROJECT_KEYS = @Exports::Test::ITEM_KEYS;
our @USER_KEYS = qw(
    uuid type status filename file_size row_count error_message requested_at
    completed_at failed_at subject download_url
);

# RFC 8259, for its form only: a parser in Perl would be the whole load
our $JSON = qr{
    (?(DEFINE)
        (?<value> \{ (?: (?&pair) (?: , (?&pair) )*+ )?+ \}
                | \[ (?: (?&value) (?: , (?&value) )*+ )?+ \]
                | (?&string) | true | false | null
                | -?+ (?: 0 | [1-9] [0-9]*+ ) (?: \. [0-9]++ )?+ )
        (?<pair> (?&string) : (?&value) )
        (?<string> " (?: [^\x00-\x1f"\\]++
                       | \\ (?: ["\\/bfnrt] | u [0-9a-fA-F]{4} ) )*+ " )
    )
    \A (?&value) \z
}x;

# what it does, how often of a hundred, by the name of its method
my @MIX = (
    project_list => 28, user_list => 25, revalidate => 8, project_download => 8,
    signed_download => 8, bad_token => 8, bad_request => 5, slow_reader => 3,
    limited => 3, pipeline => 4,
);


# world: what there is to be asked for; see t/soak/run
sub new {
    my ($class, $world, $seed) = @_;

    srand($seed);

    return bless { world => $world, links => [], etags => [], count => {},
                   faults => [], connections => {}, retried => 0 }, $class;
}

sub work {
    my ($self, $stop) = @_;     # whether it is to stop
    my @methods;

    for (my @mix = @MIX; my ($name, $share) = splice @mix, 0, 2;) {
        push @methods, ($name) x $share;
    }

    until ($stop->()) {
        my $method = $methods[rand @methods];

        # being stopped interrupts what it waits for

        eval { $self->$method; 1 } || $stop->()
            || $self->fault($method, "$@");
    }

    return { count => $self->{count}, faults => $self->{faults},
             retried => $self->{retried} };
}

sub fault {
    my ($self, $what, $why, $r) = @_;

    $why .= "\n" . substr($r->raw, 0, 600) if $r;
    push @{ $self->{faults} }, "$what: $why" if @{ $self->{faults} } < 20;
    $self->{count}{faults}++;
}


# ---- requests ----------------------------------------------------------------

# Over a connection that stays.  nginx closes those when it is reloaded: what
# was sent on one that it had closed is sent again, but only once, and never
# what it has begun to answer.
sub ask {
    my ($self, $what, $allowed, $uri, @headers) = @_;
    my $port = $self->{world}{ports}[rand @{ $self->{world}{ports} }];
    my $r;

    push @headers, 'Accept-Encoding', 'gzip' if rand() < 0.3;

    for my $attempt (1, 2) {
        my $c = $self->{connections}{$port};
        my $fresh = !$c;

        $c = $self->{connections}{$port} =
            Exports::Test::Connection->new($port) if $fresh;

        $r = eval { $c->request('GET', $uri, @headers) };
        last if $r;

        delete $self->{connections}{$port};
        die "$uri: $@" if $fresh || $attempt == 2 || $@ !~ /^no answer: ""/;
        $self->{retried}++;
    }

    delete $self->{connections}{$port}
        if ($r->header('Connection') // '') eq 'close';

    $self->unzip($what, $r)
        if ($r->header('Content-Encoding') // '') eq 'gzip';

    $self->{count}{"$what " . $r->status}++;
    $self->fault($what, "$uri: status", $r)
        if !grep { $_ == $r->status } @$allowed;
    $self->check_json($what, $r)
        if ($r->header('Content-Type') // '') eq 'application/json';

    return $r;
}

sub unzip {
    my ($self, $what, $r) = @_;
    my $plain;

    $self->{count}{'of them compressed'}++;
    IO::Uncompress::Gunzip::gunzip(\$r->{body}, \$plain)
        or return $self->fault($what, 'not gzip', $r);

    $r->{body} = $plain;
}

sub check_json {
    my ($self, $what, $r) = @_;

    $self->fault($what, 'not JSON', $r) if $r->body !~ $JSON;
    $self->fault($what, 'no request ID', $r)
        if ($r->header('X-Request-Id') // '')
           !~ /^$Exports::Test::REQUEST_ID\z/;
    $self->fault($what, 'may be kept by a cache', $r)
        if $r->status != 304 && ($r->header('Cache-Control') // '')
           ne ($r->status == 200 ? 'private, no-cache' : 'no-store');
}

sub any { $_[0][rand @{ $_[0] }] }

sub bearer { (Authorization => "Bearer $_[0]") }

sub project_list {
    my ($self) = @_;
    my $project = any($self->{world}{projects});
    my $limit = any([1, 5, 10, 25, 50, 50, 100, 500]);
    my $offset = any([0, 0, 0, int rand 200, int rand 100_000]);
    my $status = any(['', 'all', 'ready', 'not_found']);
    my @operation = rand() < 0.3 ? ('X-Operation-Key', 'job-' . int rand 50)
                                 : ();

    my $r = $self->ask('project list', [200],
        "/projects/$project->{name}/exports?limit=$limit&offset=$offset"
        . ($status ne '' ? "&status=$status" : ''),
        bearer($project->{token}), @operation);

    $self->check_project_list($r, $project->{name}, $limit, $offset, $status);
    $self->fault('project list', 'no operation', $r)
        if @operation && $r->body !~ /"operation_run_id":"oprun_/;
    $self->{etags} = [[$r->header('ETag'), "/projects/$project->{name}/exports",
                       $project->{token}]]
        if $r->status == 200 && $limit == 50 && !$offset && $status eq '';
}

sub check_project_list {
    my ($self, $r, $name, $limit, $offset, $status) = @_;
    my $body = $r->body;
    my @faults;

    return if $r->status != 200;

    my ($items, $total, $got_limit, $got_offset) = $body =~
        /^\{"ok":true,"data":\{"exports":\[(.*)\],"total":(\d+),
          "limit":(\d+),"offset":(\d+)\},"error":null,/x
        or return $self->fault('project list', 'envelope', $r);

    my @items = $items =~
        /(\{"id":(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})/g;
    my $n = $total - $offset;
    $n = $n < 0 ? 0 : $n > $limit ? $limit : $n;

    push @faults, scalar(@items) . " items, not $n" if @items != $n;
    push @faults, 'limit' if $got_limit != $limit;
    push @faults, 'offset' if $got_offset != $offset;
    push @faults, $self->check_order('created_at', @items);

    my $keys = join ',', map { qq("$_") } @PROJECT_KEYS;

    for (@items) {
        my $have = join ',', /("\w+"):(?:"(?:[^"\\]|\\.)*"|[^",]+)/g;

        push @faults, "keys: $have" if $have ne $keys;
        push @faults, "not of $name: $_" if !/,"project":"\Q$name\E",/;
        push @faults, "not $status: $_"
            if $status =~ /^(?:ready|not_found)$/ && !/,"status":"$status",/;
        push @faults, "link: $_"
            if !m{^\{"id":"([^"]+)".*,"download_url":
                  "/projects/\Q$name\E/export/download/\1",}x;
    }

    $self->fault('project list', $faults[0], $r) if @faults;
}

# newest first, and nothing twice
sub check_order {
    my ($self, $key, @items) = @_;
    my @times = map { /,"$key":"([^"]+)"/ } @items;
    my %seen;

    return 'order' if grep { $times[$_ - 1] lt $times[$_] } 1 .. $#times;
    return 'an item twice' if grep { /^\{"\w+":"([^"]+)"/ && $seen{$1}++ }
                                   @items;
    return;
}

sub user_list {
    my ($self) = @_;
    my $user = any($self->{world}{users});
    my $per_page = any([1, 5, 10, 25, 25, 100]);
    my $page = any([1, 1, 1, 2, 3, int(rand 1000) + 1]);
    my $status = any(['', '', 'ready', 'failed', 'pending']);
    my $type = any(['', '', 'type-1', 'type-2,type-3', 'none']);
    my $subject = any(['', '', '', int rand 10]);

    my $r = $self->ask('user list', [200],
        "/exports?page=$page&per_page=$per_page"
        . ($status ne '' ? "&filter[status][]=$status" : '')
        . ($type ne '' ? "&filter[type]=$type" : '')
        . ($subject ne '' ? "&filter[subject_id]=$subject" : ''),
        bearer($user->{token}));

    return if $r->status != 200;

    my $body = $r->body;
    my ($items, $links) = $body =~ /^\{"data":\[(.*)\],"links":(\{.*)\z/
        or return $self->fault('user list', 'envelope', $r);
    my @items = $items =~
        /(\{"uuid":(?:[^{}"]|"(?:[^"\\]|\\.)*"|\{[^{}]*\})*\})/g;
    my @faults;

    push @faults, $self->check_order('requested_at', @items);
    push @faults, 'more than a page' if @items > $per_page;
    push @faults, 'a next page after one that is not full'
        if $links =~ /"next":"/ && @items != $per_page;
    push @faults, 'page' if $links !~ /"current_page":$page,/;

    my $keys = join ',', map { qq("$_") } @USER_KEYS;

    for (@items) {
        my $have = join ',',
            s/"subject":\{[^{}]*\}/"subject":null/r
                =~ /("\w+"):(?:"(?:[^"\\]|\\.)*"|[^",]+)/g;

        push @faults, "keys: $have" if $have ne $keys;
        push @faults, "not of $user->{name}: $_"
            if !/^\{"uuid":"\Q$user->{name}\E-/;
        push @faults, "not $status: $_"
            if $status ne '' && !/,"status":"$status",/;
        push @faults, "not $type: $_"
            if $type ne '' && !(grep { index($items, qq("type":"$_")) >= 0 }
                                     split /,/, $type);
        push @faults, "link: $_"
            if (/"status":"ready"/
                xor m{"download_url":"http://[^"]+/download\?});
    }

    $self->fault('user list', $faults[0], $r) if @faults;

    my @found = $items =~ m{"download_url":"http://[^/"]+(/[^"]+)"}g;
    $self->{links} = \@found if @found;
}

sub revalidate {
    my ($self) = @_;
    my $known = any($self->{etags}) or return $self->project_list;
    my ($etag, $uri, $token) = @$known;

    $self->ask('revalidation', [200, 304], $uri, bearer($token),
               'If-None-Match' => $etag);
}

# the file comes and goes, and a sweep follows it
sub project_download {
    my ($self) = @_;
    my $project = any($self->{world}{projects});
    my $id = any($project->{files});
    my $range = rand() < 0.3;

    my $r = $self->ask('project download', [200, 206, 404],
        "/projects/$project->{name}/export/download/$id",
        bearer($project->{token}), $range ? (Range => 'bytes=5-24') : ());

    $self->check_bytes('project download', $r, $id);
}

sub check_bytes {
    my ($self, $what, $r, $name) = @_;
    my $bytes = $self->{world}{bytes}->($name);

    $bytes = substr $bytes, 5, 20 if $r->status == 206;
    $self->fault($what, "not the bytes of $name", $r)
        if $r->status =~ /^2/ && $r->body ne $bytes;
}

sub signed_download {
    my ($self) = @_;
    my $link = any($self->{links}) or return $self->user_list;
    my ($uuid) = $link =~ m{/([^/]+)/download};
    my $forged = rand() < 0.3;

    $link =~ s/(.)\z/$1 eq '0' ? '1' : '0'/e if $forged;

    my $r = $self->ask($forged ? 'forged link' : 'signed download',
                       $forged ? [403] : [200, 404], $link);
    $self->check_bytes('signed download', $r, $uuid) if !$forged;
}

sub bad_token {
    my ($self) = @_;
    my $world = $self->{world};
    my $token = any([@{ $world->{bad_tokens} }, 'pat_' . rand(),
                     any($world->{users})->{token}]);

    my $r = $self->ask('bad token', [401],
                       '/projects/' . any($world->{projects})->{name}
                       . '/exports', bearer($token));
    $self->ask('no token', [401], '/exports',
               rand() < 0.5 ? () : (Authorization => 'Basic eDp4'));
}

sub bad_request {
    my ($self) = @_;
    my $project = any($self->{world}{projects});
    my $user = any($self->{world}{users});
    my $base = "/projects/$project->{name}/exports";
    my @auth = bearer($project->{token});
    my ($status, $uri, @headers) = @{ any([
        [400, "$base?limit=501", @auth], [400, "$base?status=x", @auth],
        [400, "$base?offset=-1", @auth], [404, "$base/", @auth],
        [404, "/projects/$project->{name}/export/download/exp_none", @auth],
        [404, '/exports/none', bearer($user->{token})],
        [422, '/exports?filter[status]=a,b&page=0', bearer($user->{token})],
        [400, '/exports?filter[x]=1', bearer($user->{token})],
        [403, '/exports/a-1/download?expires=1&signature=00'],
    ]) };

    $self->ask('bad request', [$status], $uri, @headers);
}

sub limited {
    my ($self) = @_;
    my $r = $self->ask('limited list', [200, 429], '/limited',
                       bearer(any($self->{world}{users})->{token}));

    $self->fault('limited list', 'Retry-After', $r)
        if ($r->status == 429) != defined $r->header('Retry-After');
}

# a page of 500 items, of which the socket's buffer holds few, in small pieces
sub slow_reader {
    my ($self) = @_;
    my $project = any($self->{world}{projects});
    my $c = Exports::Test::Connection->new(any($self->{world}{ports}));

    $c->send(Exports::Test::request_text('GET',
        "/projects/$project->{name}/exports?limit=500",
        bearer($project->{token}), Connection => 'close'));

    for (1 .. 20) {
        Time::HiRes::usleep(20_000);
        sysread $c->{socket}, $c->{in}, 4096, length $c->{in};
    }

    return $c->close if rand() < 0.2;

    my $r = $c->response;
    $self->{count}{'slow reader ' . $r->status}++;
    $self->fault('slow reader', 'status', $r) if $r->status != 200;
    $self->check_json('slow reader', $r);
    $self->check_project_list($r, $project->{name}, 500, 0, '');
}

sub pipeline {
    my ($self) = @_;
    my $project = any($self->{world}{projects});
    my $c = Exports::Test::Connection->new(any($self->{world}{ports}));

    $c->send(join '', map { Exports::Test::request_text('GET',
                 "/projects/$project->{name}/exports?limit=2&offset=$_",
                 bearer($project->{token}),
                 $_ == 9 ? (Connection => 'close') : ()) } 0 .. 9);

    for (0 .. 9) {
        my $r = eval { $c->response };

        # a worker that leaves may close after any of them, but not within
        if (!$r) {
            die $@ if $_ == 0 || $@ !~ /^no answer: ""/;
            $self->{count}{'pipeline, cut by a reload'}++;
            last;
        }

        $self->{count}{'pipeline ' . $r->status}++;
        $self->check_json('pipeline', $r);
        $self->check_project_list($r, $project->{name}, 2, $_, '');
        last if ($r->header('Connection') // '') eq 'close';
    }
}

1;
