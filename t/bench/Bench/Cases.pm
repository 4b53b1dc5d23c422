package Bench::Cases;

# What is measured: a table.  A case is an import,
#
#   name, title
#   import       the set of manifests
#   aim          the least rate that it should have
#   times        [how often at the most; it takes long]
#
# or requests, sent to several servers in turn:
#
#   name, title
#   data         the set of manifests
#   servers      names of %SERVERS; the first is ours
#   base         the one that the others are divided by
#   aim          [the greatest ratio of CPU times that ours should have]
#   requests     makes the list of requests out of the set; more than one are
#                sent in this order, again and again
#
# A request is { uri, headers, want }; want is what the page must hold.

use warnings;
use strict;

use JSON::PP ();

use Exporter 'import';

our @EXPORT_OK = qw(@CASES %SERVERS file_request check_page);


# conf: the body of a server block, out of the case, which has by then the
# store and the directory of the files that hold our answers.  request: what
# this server is sent in the place of a request; default: the same.
our %SERVERS = (
    exports => {
        title => 'ngx_exports',
        conf => sub { _exports($_[0]) },
    },

    static => {
        title => 'nginx, static file',
        conf => sub { _static($_[0], 'off') },
        request => \&file_request,
    },

    # the noise: the same thing measured twice
    static_again => {
        title => 'the same again (A/A)',
        conf => sub { _static($_[0], 'off') },
        request => \&file_request,
    },

    sendfile => {
        title => 'nginx, static file, sendfile',
        conf => sub { _static($_[0], 'on') },
        request => \&file_request,
    },
);

sub _exports {
    my ($case) = @_;
    my $user = -e "$case->{store}.key" ? <<"END" : '';

        location /api/v3/exports {
            exports_api user;
            exports_link_key_file $case->{store}.key;
            exports_base_url http://127.0.0.1;
        }
END

    return <<"END";
        exports_store $case->{store};

        location /projects/ {
            exports_api project;
        }
$user
END
}

sub _static {
    my ($case, $sendfile) = @_;

    return <<"END";
        root $case->{www};

        location / {
            sendfile $sendfile;
        }
END
}


my @PAGE = (servers => [qw(exports static static_again sendfile)],
            base => 'static');

our @CASES = (
    {
        name => 'page-10k',
        title => 'status=ready&limit=50 of a project of 10,000',
        data => 'one-10k',
        requests => sub { page($_[0], 0, status => 'ready', limit => 50) },
        @PAGE, aim => 1.35,
    },
    {
        name => 'page-1m',
        title => 'status=ready&limit=50 of a project of 1,000,000',
        data => 'one-1m',
        requests => sub { page($_[0], 0, status => 'ready', limit => 50) },
        @PAGE, aim => 1.35,
    },
    {
        name => 'random',
        title => 'status=ready&limit=50 of random projects, tokens and '
                 . 'offsets among 1,000 projects of 1,000',
        data => 'many',
        requests => sub { random_pages($_[0], 4_000) },
        @PAGE,
    },
    {
        name => 'user-signed',
        title => '25 of 1,000,000 of a user: two statuses, one type, links',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 25,
                          status => [qw(ready failed)], type => ['invoices']) },
        @PAGE, aim => 4,
    },
    {
        name => 'user-unsigned',
        title => 'the same without links: none is ready',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 25,
                          status => [qw(pending failed)],
                          type => ['invoices']) },
        @PAGE, aim => 2,
    },
    {
        name => 'user-nothing',
        title => 'a filter that nothing of 1,000,000 matches',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 0,
                          status => [qw(ready failed)], type => ['none']) },
        @PAGE,
    },
    {
        name => 'user-empty',
        title => 'a user without exports',
        data => 'user-1m',
        requests => sub { user_page($_[0], 1, 0) },
        @PAGE,
    },
    {
        name => 'import-1m',
        title => 'one project',
        import => 'one-1m', aim => 45_000,
    },
    {
        name => 'import-many',
        title => '1,000 projects',
        import => 'many', aim => 45_000, times => 1,
    },
);


# ---- requests --------------------------------------------------------------

# a file for each query, of a name of that length
sub file_request {
    my ($request) = @_;
    return { %$request, uri => $request->{uri} =~ tr/?%/,_/r };
}

# page(set, number of the project, status => ..., limit => ..., offset => ...)
sub page {
    my ($data, $i, %args) = @_;
    my $project = $data->project($i);
    my $total = ($args{status} // '') eq 'ready' ? $data->ready($i)
                                                 : $data->size;
    my $offset = $args{offset} // 0;
    my $left = $total > $offset ? $total - $offset : 0;
    my $query = join '&', map { "$_=$args{$_}" }
                          grep { defined $args{$_} } qw(status limit offset);

    return {
        uri => "/projects/$project/exports" . ($query ne '' ? "?$query" : ''),
        headers => { Authorization => 'Bearer ' . $data->token($i) },
        want => {
            total => $total, limit => $args{limit}, offset => $offset,
            items => $left < $args{limit} ? $left : $args{limit},
            status => $args{status}, project => $project,
        },
    };
}

# user_page(set, number of the user, items, filter => [values], ...)
sub user_page {
    my ($data, $i, $items, %filters) = @_;
    my $query = join '&', map {
        my $filter = $_;
        map { "filter%5B$filter%5D%5B%5D=$_" } @{ $filters{$filter} };
    } sort keys %filters;

    return {
        uri => '/api/v3/exports' . ($query ne '' ? "?$query" : ''),
        headers => { Authorization => 'Bearer ' . $data->token($i) },
        want => { user => 1, items => $items, filters => \%filters },
    };
}

# Full pages anywhere in any project, all projects among them.
sub random_pages {
    my ($data, $n) = @_;
    my @pages;

    srand 4711;

    for my $k (0 .. $n - 1) {
        my $i = $k < $data->projects ? $k : int rand $data->projects;
        my $offset = int rand $data->ready($i) - 50 + 1;

        push @pages, page($data, $i, status => 'ready', limit => 50,
                          offset => $offset);
    }

    for my $i (reverse 1 .. $#pages) {
        my $j = int rand $i + 1;
        @pages[$i, $j] = @pages[$j, $i];
    }

    return @pages;
}


# ---- answers ---------------------------------------------------------------

# Dies unless the answer of HTTP::Tiny is that page; thoroughly: also parses
# it, which takes much longer than to get it.
sub check_page {
    my ($answer, $request, $thoroughly) = @_;
    my ($want, $body) = ($request->{want}, $answer->{content});
    my $fault = '';

    return check_user_page($answer, $request) if $want->{user};

    if ($answer->{status} != 200) {
        $fault = "status $answer->{status}";

    } elsif ($body !~ /"total":$want->{total},"limit":$want->{limit},
                       "offset":$want->{offset}\},"error":null/x
             || (() = $body =~ /"download_url":"/g) != $want->{items})
    {
        $fault = 'not the page';

    } elsif ($thoroughly) {
        my $list = eval { JSON::PP->new->utf8->decode($body) }
            or die "$request->{uri}: not JSON: $@";
        my $before;

        for (@{ $list->{data}{exports} }) {
            $fault = "item of another project: $_->{project}"
                if $_->{project} ne $want->{project};
            $fault = "item of another status: $_->{status}"
                if defined $want->{status} && $_->{status} ne $want->{status};
            $fault = "order: $_->{created_at} follows $before"
                if defined $before && $_->{created_at} gt $before;
            $before = $_->{created_at};
        }
    }

    die "$request->{uri}: $fault:\n" . substr($body, 0, 400) . " ...\n"
        . substr($body, -200) . "\n"
        if $fault ne '';
}

sub check_user_page {
    my ($answer, $request) = @_;
    my $want = $request->{want};
    my $list = eval { JSON::PP->new->utf8->decode($answer->{content}) };
    my @items = $list ? @{ $list->{data} } : ();
    my $filters = $want->{filters};

    my @wrong = grep {
        my $item = $_;
        grep { my $field = $_;
               !grep { $item->{$field} eq $_ } @{ $filters->{$field} } }
             keys %$filters;
    } @items;

    push @wrong, grep { defined $_->{download_url} != ($_->{status} eq 'ready') }
                 @items;

    die "$request->{uri}: not the page:\n" . substr($answer->{content}, 0, 400)
        . "\n"
        if $answer->{status} != 200 || @items != $want->{items} || @wrong;
}

1;
