package Bench::Answers;

# Whether an answer is what was asked for.

use warnings;
use strict;

use Compress::Zlib ();
use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(check_answer differs body_of);


sub body_of {
    my ($answer) = @_;

    return ($answer->{headers}{'content-encoding'} // '') eq 'gzip'
        ? Compress::Zlib::memGunzip($answer->{content}) // 'not gzip'
        : $answer->{content};
}

# but for what is of the request and not of the page
sub _without_identifiers {
    my ($body) = @_;

    return $body =~ s/("request_id":")[^"]*/$1/r
                 =~ s/("generated_at":")[^"]*/$1/r;
}

# What is wrong with another server's answer; ours is [status, type, body].
sub differs {
    my ($answer, $ours, $how) = @_;
    my ($status, $type, $body) = @$ours;
    my $other = body_of($answer);

    return "status $answer->{status}" if $answer->{status} != $status;
    return '' if $status == 304;
    return "of type $answer->{headers}{'content-type'}"
        if $answer->{headers}{'content-type'} ne $type;

    ($body, $other) = map { _without_identifiers($_) } $body, $other
        if $how eq 'identifiers';

    return '' if $body eq $other;

    my ($equal) = ($body ^ $other) =~ /^(\0*)/;
    my $from = length $equal > 100 ? length($equal) - 100 : 0;

    return "other bytes from " . length($equal) . " on:\n"
           . join "\nours:\n", map { substr $_, $from, 300 } $other, $body;
}

# Dies unless our answer is what the request wants; thoroughly: also parses
# it, which takes much longer than to get it.
sub check_answer {
    my ($answer, $request, $thoroughly) = @_;
    my $want = $request->{want};
    my $body = body_of($answer);
    my $fault = $answer->{status} != $want->{status}
                ? "status $answer->{status}"
              : defined $want->{holds} ? _holds($body, $want)
              : $want->{user} ? _user_fault($body, $want)
              : _project_fault($body, $want, $thoroughly);

    die "$request->{uri}: $fault:\n" . substr($body, 0, 400) . " ...\n"
        . substr($body, -200) . "\n"
        if $fault ne '';
}

sub _holds {
    my ($body, $want) = @_;
    return index($body, $want->{holds}) < 0 ? 'not the answer' : '';
}

sub _project_fault {
    my ($body, $want, $thoroughly) = @_;

    return 'not the page'
        if $body !~ /"total":$want->{total},"limit":$want->{limit},
                     "offset":$want->{offset}\},"error":null/x
           || (() = $body =~ /"download_url":"/g) != $want->{items};
    return '' if !$thoroughly;

    my $list = eval { JSON::PP->new->utf8->decode($body) }
        or return "not JSON: $@";
    my $before;

    for (@{ $list->{data}{exports} }) {
        return "item of another project: $_->{project}"
            if $_->{project} ne $want->{project};
        return "item of another status: $_->{status}"
            if ($want->{only} // 'all') ne 'all'
               && $_->{status} ne $want->{only};
        return "order: $_->{created_at} follows $before"
            if defined $before && $_->{created_at} gt $before;
        $before = $_->{created_at};
    }

    return '';
}

sub _user_fault {
    my ($body, $want) = @_;
    my $list = eval { JSON::PP->new->utf8->decode($body) }
        or return "not JSON: $@";
    my @items = @{ $list->{data} };
    my $filters = $want->{filters};
    my $before;

    return 'items: ' . @items if @items != $want->{items};
    return "page $list->{meta}{current_page}"
        if $list->{meta}{current_page} != $want->{page};

    for my $item (@items) {
        for my $field (keys %$filters) {
            return "item of another $field"
                if !grep { $item->{$field} eq $_ } @{ $filters->{$field} };
        }

        return 'a link where none should be, or none where one should'
            if defined $item->{download_url} != ($item->{status} eq 'ready');
        return "order: $item->{requested_at} follows $before"
            if defined $before && $item->{requested_at} gt $before;
        $before = $item->{requested_at};
    }

    return '';
}

1;
