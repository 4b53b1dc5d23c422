# The corpora of the fuzz targets, replayed under sanitizers.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

# those that need nothing of nginx are always there
my %store = map { $_ => 1 } qw(codec manifest probe time);

my $t = Exports::Test->new;
my $fuzz = $t->top . '/t/fuzz';
my $build = $t->top . '/build/replay';
my @targets = map { m{/(\w+)$} } glob "$fuzz/corpus/*";

plan tests => @targets + 1;

cmp_ok(scalar @targets, '>=', keys %store, 'there are targets');

for my $target (@targets) {
    SKIP: {
        skip "$target needs the sources of nginx: ./run fuzz fetches them", 1
            if !-x "$build/fuzz-$target" && !$store{$target};

        subtest $target => sub { replay($target) };
    }
}

sub replay {
    my ($target) = @_;
    my @files = glob "$fuzz/corpus/$target/*";

    plan tests => 4;

    cmp_ok(scalar @files, '>', 0, 'a corpus');
    is(scalar(grep { -s > 2048 } @files), 0, 'of small files');

    my ($exit, $out, $err)
        = $t->_exec({}, "$build/fuzz-$target", @files);

    is($exit, 0, 'all hold') or diag $err;
    is(scalar(() = $out =~ /^ok /mg), @files, 'all were run');
}
