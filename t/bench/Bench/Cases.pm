package Bench::Cases;

# What is measured: a table.  A case is an import,
#
#   name, title
#   import       the set of manifests
#   aim, stretch the least rates that it should have
#   times        [how often at the most; it takes long]
#
# or single changes, each in a commit of its own,
#
#   name, title
#   change       the set of manifests
#   aim          the least part of LMDB's own rate that it should have
#
# or requests, sent to several servers in turn:
#
#   name, title
#   data         the set of manifests
#   servers      names of %SERVERS; the first is ours
#   base         the one that the others are divided by
#   aims         [[server, by which it is divided, the greatest ratio of CPU
#                times that it should have, and a better one], ...; a case
#                without is one of growth only]
#   longest      [the longest CPU time of a request that there should be, ms]
#   requests     makes the list of requests out of the set; more than one are
#                sent in this order, again and again
#   reference    [title and requests of the server "reference": ours, asked
#                for something else]
#   status       [of all answers, if not 200]
#   conditional  [each request is sent with the ETag of its answer]
#   writer       [another process changes a manifest of the project each
#                second, one that is on no page]
#   growth       [table, row and column of this case in those of growth]
#   slow         [not measured by --quick]

use warnings;
use strict;

use Exporter 'import';

use Bench::Requests qw(
    page middle_page random_pages first_pages user_page deep_user_page
    unauthorized
);

our @EXPORT_OK = qw(@CASES);


my %SIZES = ('1k' => '1,000', '10k' => '10,000', '100k' => '100,000',
             '1m' => '1,000,000', '10m' => '10,000,000');

my @PAGE = (servers => [qw(exports cached static static_again sendfile lua
                           two)],
            base => 'static');
my @FILE_AIMS = (aims => [[qw(exports static 1.2 1.05)],
                          [qw(cached static 1 0.9)]]);
my @RETURN = (servers => [qw(exports cached return lua)], base => 'return',
              aims => [[qw(exports return 1.25 1.1)],
                       [qw(cached return 1.25 1.1)]]);
my @USER = (servers => [qw(exports cached static sendfile lua)],
            base => 'static',
            aims => [[qw(exports static 2.5 1.5)],
                     [qw(cached static 1.1 0.9)]]);
my @REFERENCE = (servers => [qw(exports cached reference lua)],
                 base => 'reference');
my @GZIP = (servers => [qw(gzip gzip_cached exports cached gzip_filter)],
            base => 'gzip_filter');

my @GROWTH = (servers => [qw(exports two lua)], base => 'exports');
my @GROWTH_IN_MIDDLE = (servers => [qw(exports lua)], base => 'exports');

my @SIGNED = (status => [qw(ready failed)], type => ['invoices']);
my @UNSIGNED = (status => [qw(pending failed)], type => ['invoices']);
my @TYPES = map { sprintf 'type_%02d', $_ } 1 .. 15;
my @UNION = (status => [qw(ready pending failed cancelled)],
             type => ['invoices', @TYPES]);


sub first_page {
    my ($size, $status, %more) = @_;

    return {
        name => "page-$size" . ($status eq 'all' ? '-all' : ''),
        title => "$status, 50 of a project of $SIZES{$size}",
        data => "one-$size",
        growth => ['manifests', "first page, $status", $size],
        requests => sub { page($_[0], 0, status => $status, limit => 50) },
        slow => $size eq '10m', %more,
    };
}

sub growing {
    my ($size) = @_;

    return map { first_page($size, $_, @GROWTH),
                 middle($size, $_, @GROWTH_IN_MIDDLE) } qw(ready all);
}

# the same few exports, of how many projects there ever are
sub crowd {
    my ($data, $projects, $each) = @_;
    my $n = $projects =~ tr/,//dr;

    return {
        name => "crowd-$n", data => $data,
        title => $n == 1 ? "ready, 5 of the one project of $each"
                         : "ready, 5 of one of $projects projects of $each",
        growth => ['projects', 'first 5 of a project, ready', $projects],
        requests => sub { first_pages($_[0], 10_000, 5) },
        @GROWTH,
    };
}

sub middle {
    my ($size, $status, %more) = @_;

    return {
        name => "deep-$size" . ($status eq 'all' ? '-all' : ''),
        title => "$status, 50 from the middle of a project of $SIZES{$size}",
        data => "one-$size",
        growth => ['manifests', "from the middle, $status", $size],
        requests => sub { middle_page($_[0], $status) },
        slow => $size eq '10m', %more,
    };
}

sub deep_page {
    my ($size, $status, $writer) = @_;
    my $case = middle($size, $status,
        reference => ['our first page',
            sub { page($_[0], 0, status => $status, limit => 50) }],
        @REFERENCE, aims => [[qw(exports reference 1.3 1.1)],
                             [qw(cached reference 1.3 1.1)]],
        longest => 2);

    return $case if !$writer;

    $case->{name} .= '-commits';
    $case->{title} .= ', a commit a second to it';
    delete $case->{growth};

    return { %$case, writer => 1 };
}

our @CASES = (
    (map { first_page($_, 'ready', @PAGE, @FILE_AIMS),
           first_page($_, 'all', @PAGE, @FILE_AIMS) } qw(10k 1m 10m)),
    {
        name => 'random',
        title => 'ready, 50 of random projects, tokens and offsets, 1,000 '
                 . 'projects of 1,000',
        data => 'many',
        requests => sub { random_pages($_[0], 4 * $_[0]->projects) },
        @PAGE, aims => [[qw(exports static 1.3)], [qw(cached static 1.3)]],
    },
    {
        name => 'page-500',
        title => 'ready, 500 of a project of 1,000,000',
        data => 'one-1m',
        requests => sub { page($_[0], 0, status => 'ready', limit => 500) },
        @PAGE, aims => [[qw(exports static 1 0.7)],
                        [qw(cached static 1 0.7)]],
    },
    {
        name => 'empty',
        title => 'a project without exports',
        data => 'one-1m',
        requests => sub { page($_[0], $_[0]->projects, status => 'ready',
                               limit => 50) },
        @RETURN,
    },
    {
        name => 'empty-user',
        title => 'a user without exports',
        data => 'user-1m',
        requests => sub { user_page($_[0], 1, 0, 1) },
        @RETURN,
    },
    {
        name => 'unauthorized',
        title => '401, an unknown token',
        data => 'one-1m', status => 401,
        requests => \&unauthorized,
        @RETURN,
    },
    {
        name => 'not-modified',
        title => '304, If-None-Match with the ETag',
        data => 'one-1m', conditional => 1,
        requests => sub { page($_[0], 0, status => 'ready', limit => 50) },
        @RETURN,
    },

    deep_page('10k', 'ready'),
    deep_page('10k', 'all'),
    (map { my $writer = $_;
           map { my $size = $_;
                 map { deep_page($size, $_, $writer) } qw(ready all)
               } qw(1m 10m)
         } 0, 1),

    {
        name => 'user',
        title => '25 of 1,000,000 of a user: two statuses, one type, links',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 25, 1, @SIGNED) },
        @USER,
    },
    {
        name => 'user-unsigned',
        title => 'the same of two statuses that have no links',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 25, 1, @UNSIGNED) },
        @USER, aims => [[qw(exports static 2)], [qw(cached static 1.1 0.9)]],
    },
    {
        name => 'user-deep',
        title => '25 of two statuses, one type, links, page 10,000',
        data => 'user-1m', longest => 2,
        requests => sub { deep_user_page($_[0], 10_000, @SIGNED) },
        @USER,
    },
    {
        name => 'union',
        title => 'a user, union of 64 lists',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 25, 1, @UNION) },
        reference => ['one list', sub {
            user_page($_[0], 0, 25, 1, status => ['ready'],
                      type => ['invoices']) }],
        @REFERENCE, aims => [[qw(exports reference 3)],
                             [qw(cached reference 3)]],
    },
    {
        name => 'union-deep',
        title => 'the same, page 1,000',
        data => 'user-1m', longest => 2,
        requests => sub { deep_user_page($_[0], 1000, @UNION) },
        reference => ['one list', sub {
            deep_user_page($_[0], 1000, status => ['ready'],
                           type => ['invoices']) }],
        @REFERENCE, aims => [[qw(exports reference 3)],
                             [qw(cached reference 3)]],
    },
    {
        name => 'nothing',
        title => 'a user, two lists, nothing of 1,000,000 matches',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 0, 1,
                          status => [qw(ready failed)], type => ['none']) },
        reference => ['an empty list', sub { user_page($_[0], 1, 0, 1) }],
        @REFERENCE, aims => [[qw(exports reference 1.3)],
                             [qw(cached reference 1.3)]],
    },
    {
        name => 'nothing-64',
        title => 'a user, 64 lists, nothing of 1,000,000 matches',
        data => 'user-1m',
        requests => sub { user_page($_[0], 0, 0, 1,
                          status => [qw(ready pending failed cancelled)],
                          type => [map { "none_$_" } 1 .. 16]) },
        reference => ['an empty list', sub { user_page($_[0], 1, 0, 1) }],
        @REFERENCE, aims => [[qw(exports reference 1.3)],
                             [qw(cached reference 1.3)]],
    },
    {
        name => 'gzip',
        title => 'ready, 50 of a project of 1,000,000, gzip',
        data => 'one-1m',
        requests => sub { page($_[0], 0, status => 'ready', limit => 50) },
        @GZIP, aims => [[qw(gzip exports 1.2)], [qw(gzip_cached cached 1.2)],
                        [qw(gzip gzip_filter 0.25)],
                        [qw(gzip_cached gzip_filter 0.25)]],
    },
    {
        name => 'gzip-commits',
        title => 'the same, a commit a second to the project',
        data => 'one-1m', writer => 1,
        requests => sub { page($_[0], 0, status => 'ready', limit => 50) },
        @GZIP, aims => [[qw(gzip exports 1.5)], [qw(gzip_cached cached 1.5)]],
    },

    growing('1k'), growing('100k'),
    crowd('one-1m', '1', '1,000,000'), crowd('many', '1,000', '1,000'),
    crowd('crowd', '100,000', '10'),

    {
        name => 'import-1m',
        title => 'one project',
        import => 'one-1m', aim => 80_000, stretch => 120_000,
    },
    {
        name => 'import-many',
        title => '1,000 projects',
        import => 'many', aim => 80_000, stretch => 120_000, times => 1,
    },
    {
        name => 'import-user',
        title => 'one user',
        import => 'user-1m', aim => 30_000, stretch => 60_000,
    },
    {
        name => 'change',
        title => 'status of one of 1,000,000 manifests of a project',
        change => 'one-1m', aim => 0.9,
    },
);

1;
