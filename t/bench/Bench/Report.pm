package Bench::Report;

# Medians, spreads, ratios; tables for a terminal and in Markdown.

use warnings;
use strict;

use Exporter 'import';
use List::Util qw(max min);

use Bench::Util qw(commas);

our @EXPORT_OK = qw(median ratios text_table markdown_table spread);


sub median {
    my @sorted = sort { $a <=> $b } @_;
    my $n = @sorted;

    return $n % 2 ? $sorted[$n / 2]
                  : ($sorted[$n / 2 - 1] + $sorted[$n / 2]) / 2;
}

# median (min-max)
sub spread {
    my ($digits, @values) = @_;
    my ($median, $min, $max) = map { commas(sprintf "%.${digits}f", $_) }
                               median(@values), min(@values), max(@values);

    return @values > 1 ? "$median ($min-$max)" : $median;
}

# of each round by itself: what disturbs a round disturbs both
sub ratios {
    my ($of, $to) = @_;
    return map { $of->[$_] / $to->[$_] } 0 .. $#$of;
}

# ([heading, ...], [cell, ...], ...); the first column is text
sub text_table {
    my @rows = @_;
    my @width;

    for my $row (@rows) {
        $width[$_] = max($width[$_] // 0, length $row->[$_]) for 0 .. $#$row;
    }

    return join '', map {
        my $row = $_;
        '  ' . join('  ', map {
            sprintf $_ ? '%*s' : '%-*s', $width[$_], $row->[$_]
        } 0 .. $#$row) . "\n";
    } @rows;
}

sub markdown_table {
    my ($heading, @rows) = @_;

    return join '', map { '| ' . join(' | ', @$_) . " |\n" } $heading,
        ['---', ('---:') x $#$heading], @rows;
}

1;
