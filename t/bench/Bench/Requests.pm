package Bench::Requests;

# Requests out of a set of manifests, with what the answers must hold:
# { uri, headers, want }.

use warnings;
use strict;

use Exporter 'import';
use List::Util qw(min);

our @EXPORT_OK = qw(
    page middle_page random_pages first_pages user_page deep_user_page
    unauthorized
);


# page(set, number of the project, status => ..., limit => ..., offset => ...)
sub page {
    my ($data, $i, %args) = @_;
    my $project = $data->project($i);
    my $total = $data->total($i, $args{status});
    my $offset = $args{offset} // 0;
    my $left = $total > $offset ? $total - $offset : 0;
    my $query = join '&', map { "$_=$args{$_}" }
                          grep { defined $args{$_} } qw(status limit offset);

    return {
        uri => "/projects/$project/exports?$query",
        headers => { Authorization => 'Bearer ' . $data->token($i) },
        want => {
            status => 200, total => $total, limit => $args{limit},
            offset => $offset, items => min($left, $args{limit}),
            only => $args{status}, project => $project,
        },
    };
}

# the page at half of the set
sub middle_page {
    my ($data, $status) = @_;

    return page($data, 0, status => $status, limit => 50,
                offset => int $data->size / 2);
}

# Full pages anywhere in any project, all projects among them.
sub random_pages {
    my ($data, $n) = @_;
    my @pages;

    srand 4711;

    for my $k (0 .. $n - 1) {
        my $i = $k < $data->projects ? $k : int rand $data->projects;
        my $offset = int rand $data->total($i, 'ready') - 50 + 1;

        push @pages, page($data, $i, status => 'ready', limit => 50,
                          offset => $offset);
    }

    for my $i (reverse 1 .. $#pages) {
        my $j = int rand $i + 1;
        @pages[$i, $j] = @pages[$j, $i];
    }

    return @pages;
}

# The first exports of some projects, which do not repeat themselves soon.
sub first_pages {
    my ($data, $n, $limit) = @_;

    srand 4711;

    return map {
        page($data, int rand $data->projects, status => 'ready',
             limit => $limit)
    } 1 .. min($n, $data->projects);
}

sub unauthorized {
    my ($data) = @_;

    return {
        uri => '/projects/' . $data->project(0) . '/exports',
        headers => { Authorization => 'Bearer pat_' . 'x' x 40 },
        want => { status => 401, holds => '"code":"invalid_token"' },
    };
}

# user_page(set, number of the user, items, page, filter => [values], ...)
sub user_page {
    my ($data, $i, $items, $page, %filters) = @_;
    my @query = map {
        my $filter = $_;
        map { "filter%5B$filter%5D%5B%5D=$_" } @{ $filters{$filter} };
    } sort keys %filters;

    push @query, "page=$page" if $page > 1;

    return {
        uri => '/api/v3/exports' . (@query ? '?' . join '&', @query : ''),
        headers => { Authorization => 'Bearer ' . $data->token($i) },
        want => { status => 200, user => 1, items => $items, page => $page,
                  filters => \%filters },
    };
}

# that page, or the last one that is full
sub deep_user_page {
    my ($data, $page, %filters) = @_;
    my $last = int $data->matches(%filters) / 25;

    return user_page($data, 0, 25, min($page, $last), %filters);
}

1;
