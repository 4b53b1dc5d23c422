package Bench::UserData;

# Manifests of users, and the stores made of them: see Bench::Data, which does
# all but what is written into the files.  The first user has all manifests,
# the second none.

use warnings;
use strict;

use parent 'Bench::Data';

use Digest::SHA qw(sha256_hex);

use Bench::Util qw(write_file read_file json json_text);

my @STATUSES = (('ready') x 6, qw(pending processing failed cancelled));

# half of all are of one type
my @TYPES = (('invoices') x 15, map { sprintf 'type_%02d', $_ } 1 .. 15);

my $BEGIN = 1_717_200_000;
my $SPAN = 730 * 86_400;


sub new {
    my ($class, $dir, $ctl, $name, $tiny) = @_;

    return bless {
        name => $name, ctl => $ctl, dir => "$dir/$name",
        projects => 2, each => $tiny ? 20_000 : 1_000_000, imports => [],
    }, $class;
}

sub count { $_[0]{each} }

# how many of the first user's have one of the statuses and one of the types
sub matches {
    my ($self, %filters) = @_;
    my $sum = 0;

    $self->{counts} //= json(read_file("$self->{dir}/counts.json"));

    for my $status (@{ $filters{status} }) {
        $sum += $self->{counts}{"$status $_"} // 0 for @{ $filters{type} };
    }

    return $sum;
}

# the key that links are signed with lies beside the store
sub build {
    my ($self) = @_;
    my $key = $self->store . '.key';

    $self->SUPER::build;

    write_file($key, sha256_hex('a key for benchmarks') . "\n");
    chmod 0600, $key or die "$key: $!\n";
}

sub _write_tokens {
    my ($self) = @_;

    write_file("$self->{dir}/tokens.ndjson", join '', map {
        sprintf qq({"sha256":"%s","user":%d}\n),
                sha256_hex($self->token($_)), $_ + 1
    } 0, 1);
}

sub _write_manifests {
    my ($self, $out) = @_;
    my $step = $SPAN / $self->{each};
    my %counts;

    srand 4711;

    for my $n (1 .. $self->{each}) {
        my $status = $STATUSES[rand @STATUSES];
        my $at = Bench::Data::_stamp($BEGIN + int $n * $step);
        my $done = $status eq 'ready';
        my $type = $TYPES[rand @TYPES];

        $counts{"$status $type"}++;

        printf $out '{"uuid":"%08x-0000-7000-8000-%012x","user":1,'
            . '"type":"%s","status":"%s","filename":%s,"file_size":%s,'
            . '"row_count":%s,"error_message":null,"requested_at":"%s.%06dZ",'
            . '"completed_at":%s,"failed_at":null,'
            . '"subject":{"type":"site","id":%d,"label":"Site %d"}}' . "\n",
            rand 2 ** 32, $n, $type, $status,
            $done ? qq("$type-$n.csv") : 'null', $done ? 4096 : 'null',
            $done ? 48 : 'null', $at, $n % 1_000_000,
            $done ? qq("${at}Z") : 'null', $n % 50, $n % 50;
    }

    write_file("$self->{dir}/counts.json", json_text(\%counts));
}

1;
