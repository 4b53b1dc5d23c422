package Bench::Util;

# What all parts of the benchmarks need.

use warnings;
use strict;

use Exporter 'import';
use File::Path qw(make_path remove_tree);
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

our @EXPORT_OK = qw(
    say_progress commas read_file write_file make_dir remove_dir
    json json_text execute execute_fed wait_for output_of
);

# a command must not outlive us
my $running;

my $CODEC = JSON::PP->new->utf8->canonical->pretty;

sub json { $CODEC->decode($_[0]) }
sub json_text { $CODEC->encode($_[0]) }

sub say_progress { print STDERR 'bench: ', @_, "\n" }

sub commas {
    my ($number) = @_;
    1 while $number =~ s/^(\d+)(\d{3})/$1,$2/;
    return $number;
}

# undef: there is none
sub read_file {
    my ($path) = @_;

    open my $fh, '<:raw', $path or return undef;
    local $/;

    return scalar(<$fh>) // '';
}

sub write_file {
    my ($path, $content) = @_;

    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $content;
    close $fh or die "$path: $!\n";
}

sub make_dir { make_path($_[0], { error => \my $e }); die_of($e) if @$e }
sub remove_dir { remove_tree($_[0], { error => \my $e }); die_of($e) if @$e }

sub die_of {
    my ($path, $message) = %{ $_[0][0] };
    die "$path: $message\n";
}

sub output_of {
    my (@command) = @_;

    open my $fh, '-|', @command or return '';
    local $/;

    return scalar(<$fh>) // '';
}

# polls, for at most some seconds; false: it did not happen
sub wait_for (&$) {
    my ($condition, $bound) = @_;
    my $end = Time::HiRes::time() + $bound;
    my $result;

    until ($result = $condition->()) {
        return 0 if Time::HiRes::time() > $end;
        Time::HiRes::usleep(5000);
    }

    return $result;
}

# Runs a command to its end: (seconds, stdout); dies with what it says when it
# fails or takes longer than the bound.
sub execute { execute_fed(shift, undef, @_) }

# The same, with what the function writes to its parameter as stdin.
sub execute_fed {
    my ($bound, $feed, @command) = @_;

    pipe my $read, my $write or die "pipe: $!\n";

    my $start = Time::HiRes::time();
    my $feeder;
    my $stdin = $feed ? _feeder($feed, \$feeder) : undef;
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        open STDIN, '<&', $stdin if $stdin;
        open STDIN, '<', '/dev/null' if !$stdin;
        open STDOUT, '>&', $write;
        open STDERR, '>&', $write;
        close $read;
        { no warnings 'exec'; exec { $command[0] } @command; }
        print STDERR "$command[0]: $!\n";
        POSIX::_exit(127);
    }

    $running = $pid;
    close $write;
    close $stdin if $stdin;

    my $output = '';
    my $ended = eval {
        local $SIG{ALRM} = sub { die "too long\n" };
        alarm $bound;
        1 while sysread $read, $output, 65536, length $output;
        waitpid $pid, 0;
        alarm 0;
        1;
    };
    my $seconds = Time::HiRes::time() - $start;
    my $status = $?;

    undef $running;

    if (!$ended) {
        my $why = $@;
        kill 'KILL', $pid;
        waitpid $pid, 0;
        die $why if $why ne "too long\n";
        die "$command[0] did not end within $bound seconds\n";
    }

    die "@command[0 .. ($#command > 1 ? 1 : $#command)] failed:\n$output"
        if $status;

    if ($feeder) {
        waitpid $feeder, 0;
        die "what $command[0] should read was not written\n" if $?;
    }

    return ($seconds, $output);
}

# It ends by SIGPIPE when its reader does.
sub _feeder {
    my ($feed, $pid) = @_;

    pipe my $read, my $write or die "pipe: $!\n";
    $$pid = fork // die "fork: $!\n";

    if ($$pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE ALRM);
        close $read;
        my $ok = eval { $feed->($write); close $write };
        print STDERR $@ if !$ok;
        POSIX::_exit(!$ok);
    }

    return $read;
}

END {
    my $status = $?;

    if (defined $running) {
        kill 'TERM', $running;
        waitpid $running, 0;
    }

    $? = $status;
}

1;
