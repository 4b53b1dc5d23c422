package Bench::UserData;

# Manifests of users, and the stores made of them: see Bench::Data, which does
# all but what is written into the files.  The first user has all manifests,
# the second none.

use warnings;
use strict;

use parent 'Bench::Data';

use Digest::SHA qw(sha256_hex);

use Bench::Util qw(write_file json_text);

my @STATUSES = (('ready') x 6, qw(pending processing failed cancelled));
my @TYPES = qw(charge_sessions meter_values invoices locations);

my $BEGIN = 1_717_200_000;
my $SPAN = 730 * 86_400;


sub new {
    my ($class, $dir, $ctl, $name) = @_;

    return bless {
        name => $name, ctl => $ctl, dir => "$dir/$name",
        projects => 2, each => 1_000_000, imports => [],
    }, $class;
}

sub count { $_[0]{each} }

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
    my ($self) = @_;
    my $step = $SPAN / $self->{each};

    open my $out, '>:raw', $self->file or die $self->file . ": $!\n";

    srand 4711;

    for my $n (1 .. $self->{each}) {
        my $status = $STATUSES[rand @STATUSES];
        my $at = Bench::Data::_stamp($BEGIN + int $n * $step);
        my $done = $status eq 'ready';
        my $type = $TYPES[rand @TYPES];

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

    close $out or die $self->file . ": $!\n";

    write_file("$self->{dir}/ready.json", json_text([0, 0]));
}

1;
