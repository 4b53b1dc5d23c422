# A store is damaged, given up and deleted, and a good one takes its place that
# gets the numbers of its inodes: it is used at once, although the old one would
# have been left alone for some seconds still.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes 'time';

use Exports::Faults;
use Exports::Test;

plan tests => 4;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store check=10ms;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");
my $store = generation($t, 'store', 20, $token);
my @files = qw(data.mdb lock.mdb);
my %good = map { $_ => $t->read_file("$store/$_") } @files;

$t->allow_log(qr{/store\b});
$t->run;

sub status { $t->get('/projects/demo/exports', @auth)->status }
sub numbers { join ' ', map { (stat "$store/$_")[1] // 0 } @files }

# where files may get the number of a deleted one, new ones are made until they
# have those; what is made in between keeps its own

sub renumber {
    my @want = split ' ', $_[0];
    my %made;

    for my $n (1 .. 500) {
        my $file = "$store/$n";
        open my $fh, '>', $file or die "$file: $!";
        $made{ (stat $fh)[1] } = $file;
        last if 2 == grep { $made{$_} } @want;
    }

    for my $i (0 .. 1) {
        my $file = delete $made{ $want[$i] } // next;
        rename $file, "$store/$files[$i]" or die "rename: $!";
    }

    unlink values %made;
    return numbers() eq $_[0];
}

sub fill {
    my ($name, $text) = @_;
    open my $fh, '>:raw', "$store/$name" or die "$name: $!";
    print $fh $text;
    close $fh or die "$name: $!";
    chown -1, (getpwnam $t->user)[3], "$store/$name" if $t->user;
    chmod $name =~ /lock/ ? 0660 : 0640, "$store/$name";
}

is status(), 200, 'a store';
my $old = numbers();

open my $fh, '+<:raw', "$store/data.mdb" or die "open: $!";
print $fh endless(recounted($good{'data.mdb'}, 'facets'));
close $fh or die "close: $!";

# it is given up, and again after 1 s and 2 s.  Each attempt takes 100 ms at
# least; the next one would be 4 s after the last.

my $attempts = 0;

ok wait_for(sub {
    my $begun = time;
    status() == 503 && time - $begun > 0.09 && ++$attempts == 3;
}), 'is damaged';

unlink map { "$store/$_" } @files;
my $same = renumber($old);
my $born = qx{stat -c %W "$store/data.mdb"};

SKIP: {
    skip 'other files have other numbers here', 1 if !$same;
    skip 'files do not know when they were made', 1 if $born !~ /^[1-9]/;

    fill($_, $good{$_}) for reverse @files;
    my $begun = time;
    wait_for { status() == 200 };
    cmp_ok time - $begun, '<', 3, 'a good one is used at once';
}

$t->done;
