#!/usr/bin/perl

# Makes the files that sample manifests speak of: artifacts.pl MANIFESTS DIR
#
# Every manifest that is ready gets a file of exactly its size, with as many
# rows as it says, at its storage key below DIR.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use IO::Compress::Zip qw($ZipError ZIP_CM_STORE);
use JSON::PP;


sub text_of {
    my ($type, $rows, $size) = @_;
    my ($head, @rows, $foot, $gap);

    # a row is what comes before and behind its filling

    if ($type =~ m{^text/csv}) {
        $head = "id,name,note\n";
        @rows = map { ["$_,row $_,", "\n"] } 1 .. $rows;
        $foot = '';
        $gap = 'lorem ipsum dolor sit amet ';

    } elsif ($type =~ m{^application/json}) {
        $head = "[\n";
        @rows = map { [qq({"id":$_,"note":"), $_ < $rows ? "\"},\n" : "\"}\n"] }
                    1 .. $rows;
        $foot = "]\n";
        $gap = 'lorem ipsum dolor sit amet ';

    } else {
        $head = join '', map { "CREATE TABLE $_ (id bigint, note text);\n" }
                             qw(contacts invoices orders);
        @rows = (['-- ', "\n"]);
        $foot = '';
        $gap = '- ';
    }

    my $left = $size - length join '', $head, (map { @$_ } @rows), $foot;
    die "$size bytes are too few for $rows rows\n" if $left < 0;

    my $text = $head;

    for my $i (0 .. $#rows) {
        my $n = int($left / (@rows - $i));
        $left -= $n;
        $text .= $rows[$i][0] . substr($gap x (1 + $n / length $gap), 0, $n)
                 . $rows[$i][1];
    }

    return $text . $foot;
}


sub zip_of {
    my ($text) = @_;
    my $zip = '';
    my $z = IO::Compress::Zip->new(\$zip, Name => 'export.csv', Minimal => 1,
                                   Time => 1780000000, Method => ZIP_CM_STORE,
                                   Stream => 0)
        or die "$ZipError\n";

    $z->print($text);
    $z->close() or die "$ZipError\n";

    return $zip;
}


my ($manifests, $dir) = @ARGV;

open my $in, '<', $manifests or die "$manifests: $!\n";

while (my $line = <$in>) {
    my $m = JSON::PP->new->utf8->decode($line);
    next if $m->{status} ne 'ready';

    my $file = "$dir/" . ($m->{storage_key} // $m->{id} // $m->{uuid});
    my $size = $m->{size_bytes} // $m->{file_size};
    my $rows = $m->{row_count} // 0;
    my $type = $m->{content_type};

    my $data = $type eq 'application/zip'
        ? zip_of(text_of('text/csv', $rows, $size - length zip_of('')))
        : text_of($type, $rows, $size);

    die "$file: not $size bytes\n" if length $data != $size;

    make_path(dirname($file));
    open my $out, '>', $file or die "$file: $!\n";
    print $out $data;
    close $out or die "$file: $!\n";
}
