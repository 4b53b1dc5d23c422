# What was built has the protections that Debian builds its programs with: by
# what the files say of themselves.

use warnings;
use strict;

use FindBin;
use POSIX ();
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

plan skip_all => 'there is no readelf'
    if system('command -v readelf >/dev/null');

my %file = (command => $t->{ctl});
$file{module} = $t->{module} if $t->{module} ne '';

my $cf = { x86_64 => '-fcf-protection', aarch64 => '-mbranch-protection' }
    ->{ (POSIX::uname())[4] };

# of readelf, in lines that are not cut short
sub elf {
    my ($file, @options) = @_;

    open my $fh, '-|', 'readelf', '-W', @options, $file or die "readelf: $!";
    local $/;
    my $text = <$fh>;
    close $fh or die "readelf @options $file: $?";

    return $text;
}

for my $name (sort keys %file) {
    my $file = $file{$name};
    my $segments = elf($file, '-l');
    my $dynamic = elf($file, '-d');
    my $symbols = elf($file, '--dyn-syms');

    like elf($file, '-h'), qr/Type:\s+DYN /, "$name: position-independent";
    like $segments, qr/^ +GNU_RELRO /m, "$name: relro";
    like $dynamic, qr/\(FLAGS_1\) .*\bNOW\b/, "$name: bound at its start";
    like $dynamic, qr/\(FLAGS_1\) .*\bPIE\b/, "$name: PIE"
        if $name eq 'command';
    unlike $dynamic, qr/TEXTREL/, "$name: no relocations of code";
    unlike $dynamic, qr/\((?:RPATH|RUNPATH)\)/, "$name: no search path";

    my ($stack) = $segments =~ /^ +GNU_STACK (.*)/m;
    like $stack, qr/ RW /, "$name: the stack is not executable";
    ok !(grep { / RWE / } split /\n/, $segments),
       "$name: nothing is writable and executable";

    like $symbols, qr/ __stack_chk_fail\@/, "$name: stack protector";
    like $symbols, qr/ __(?:memcpy|snprintf)_chk\@/, "$name: fortified";
    unlike $symbols, qr/ UND (?:strcpy|strcat|sprintf|vsprintf|gets|system
                              |popen|mktemp|tmpnam|rand|srand)\@/x,
        "$name: calls none of the functions that are better not called";

    # gcc notes down what it was called with

    my ($with) = elf($file, '--debug-dump=info')
                 =~ /DW_AT_producer .*(GNU C\d\d.* -f?PIC.*)/i;

    SKIP: {
        skip "$name: not by gcc, or without debugging information", 3
            if !defined $with;

        like $with, qr/ -fstack-clash-protection/, "$name: stack clash";
        like $with, qr/ -fstack-protector-strong/, "$name: the strong one";

        skip "$name: not of this processor", 1 if !$cf;
        like $with, qr/ \Q$cf\E/, "$name: control flow";
    }
}

$t->done;
done_testing;
