package Exports::User;

# What tests of the user exports API share: its key file, its items and pages,
# its errors, signatures made anew.

use warnings;
use strict;

use Digest::SHA ();
use Exporter 'import';
use JSON::PP ();
use Test::More ();

use Exports::Test;

our @EXPORT = qw(
    key_file user_item uuids percent component query_string signature
    links_of list_faults is_list is_message is_invalid
);

# the keys of an item, in the order in which it is sent
our @ITEM_KEYS = qw(
    uuid type status filename file_size row_count error_message requested_at
    completed_at failed_at subject download_url
);

our $KEY = 'k' x 31 . '1';

# of a link: {base}{prefix}/{uuid}/download?...
our $SIGNED = qr/expires=(\d+)&signature=([0-9a-f]{64})/;


# The keys, one a line, in a file that others cannot read.
sub key_file {
    my ($t, $name, @keys) = @_;
    my $path = $t->write_file($name, join '', map { "$_\n" } @keys ? @keys
                                                                   : $KEY);
    chmod 0600, $path or die "chmod: $!";

    return $path;
}

# what the list shows of a manifest made with the same arguments, but for the
# link: 1 where there has to be one
sub user_item {
    my (%o) = @_;
    my %item = %{ json(user_line(%o)) };

    delete @item{qw(user storage_backend storage_key content_type)};
    $item{download_url} = $item{status} eq 'ready' ? 1 : undef;

    return \%item;
}

# What a list says, without a JSON parser.
sub uuids { $_[0]->body =~ /\{"uuid":"([^"]+)"/g }

# bytes, and text, percent-encoded as a component of a URL
sub percent {
    my ($bytes) = @_;
    return $bytes =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger;
}

sub component {
    my ($text) = @_;
    utf8::encode($text);
    return percent($text);
}

# of name, value, name, value, ...
sub query_string {
    my @args;

    while (my ($name, $value) = splice @_, 0, 2) {
        push @args, component($name) . '=' . component($value);
    }

    return @args ? '?' . join '&', @args : '';
}

# strict: no overlong forms, no surrogates, nothing above U+10FFFF
sub is_utf8 {
    my ($bytes) = @_;

    $bytes =~ s/[\x00-\x7f]+/ /g;
    $bytes =~ s/[\xc2-\xdf][\x80-\xbf]
               |\xe0[\xa0-\xbf][\x80-\xbf]
               |\xed[\x80-\x9f][\x80-\xbf]
               |[\xe1-\xec\xee\xef][\x80-\xbf]{2}
               |\xf0[\x90-\xbf][\x80-\xbf]{2}
               |[\xf1-\xf3][\x80-\xbf]{3}
               |\xf4[\x80-\x8f][\x80-\xbf]{2}//gx;

    return $bytes !~ /[\x80-\xff]/;
}

sub signature {
    my ($path, $expires, $key) = @_;
    return Digest::SHA::hmac_sha256_hex("$path?expires=$expires", $key // $KEY);
}

sub links_of { grep { defined } map { $_->{download_url} }
                                @{ $_[0]->json->{data} } }


# ---- assertions ------------------------------------------------------------

# what every answer must be
sub _answer_faults {
    my ($r) = @_;
    my $body = $r->body;
    my @faults;

    push @faults, 'content type: ' . ($r->header('Content-Type') // 'none')
        if ($r->header('Content-Type') // '') ne 'application/json';
    push @faults, 'X-Request-Id: ' . join ' ', $r->headers('X-Request-Id')
        if join(' ', $r->headers('X-Request-Id'))
           !~ /^$Exports::Test::REQUEST_ID\z/;
    push @faults, 'not UTF-8' if !is_utf8($body);
    push @faults, 'a control character in the body'
        if $body =~ /[\x00-\x1f]/;

    return @faults;
}

# list_faults($r, [uuids], { key of links or meta => value }): without a link
# or key of that name it is not looked at
sub list_faults {
    my ($r, $uuids, $want) = @_;
    my @faults = _answer_faults($r);
    my $json = $r->json // return (@faults, 'not JSON: ' . $r->raw);

    push @faults, 'status: ' . $r->status if $r->status != 200;
    push @faults, 'Cache-Control'
        if ($r->header('Cache-Control') // '') ne 'private, no-cache';

    my $keys = join ' ', grep { !/^data\./ } keys_of($r->body);
    push @faults, "keys: $keys"
        if $keys ne 'data links links.first links.last links.prev links.next'
                    . ' meta meta.current_page meta.from meta.path'
                    . ' meta.per_page meta.to';

    my %got = ref $json->{links} ? (%{ $json->{links} }, %{ $json->{meta} })
                                 : ();

    for (sort keys %$want) {
        push @faults, "$_: " . ($got{$_} // 'null') . "\n not: "
                      . ($want->{$_} // 'null')
            if ($got{$_} // 'null') ne ($want->{$_} // 'null');
    }

    push @faults, 'last: not null' if defined $got{last};

    my @got = uuids($r);
    push @faults, "uuids: @got[0 .. ($#got < 9 ? $#got : 9)]\n"
                  . "  not: @$uuids[0 .. ($#$uuids < 9 ? $#$uuids : 9)]"
        if "@got" ne "@$uuids";

    return @faults;
}

# is_list($r, [uuids], { ... }, name)
sub is_list {
    my ($r, $uuids, $want, $name) = @_;
    my @faults = list_faults($r, $uuids, $want);

    return Test::More::ok(!@faults, $name)
        || Test::More::diag(join "\n", @faults, substr $r->raw, 0, 2000);
}

sub _error_faults {
    my ($r, $status, $message) = @_;
    my @faults = _answer_faults($r);
    my $json = $r->json // {};

    push @faults, 'status: ' . $r->status if $r->status != $status;
    push @faults, 'message: ' . ($json->{message} // 'none')
        if ref $message ? ($json->{message} // '') !~ $message
                        : ($json->{message} // '') ne $message;
    push @faults, 'cache control: ' . ($r->header('Cache-Control') // 'none')
        if ($r->header('Cache-Control') // '') ne 'no-store';
    push @faults, 'WWW-Authenticate: '
                  . join ' ', $r->headers('WWW-Authenticate')
        if join(' ', $r->headers('WWW-Authenticate'))
           ne ($status == 401 ? 'Bearer' : '');
    push @faults, 'Allow: ' . ($r->header('Allow') // 'none')
        if ($r->header('Allow') // '') ne ($status == 405 ? 'GET, HEAD' : '');

    return @faults;
}

# is_message($r, 404, message or qr//, name): an error, {"message"}
sub is_message {
    my ($r, $status, $message, $name) = @_;
    my @faults = _error_faults($r, $status, $message);

    push @faults, 'keys: ' . join ' ', keys_of($r->body)
        if join(' ', keys_of($r->body)) ne 'message';

    return Test::More::ok(!@faults, $name)
        || Test::More::diag(join "\n", @faults, substr $r->raw, 0, 2000);
}

# is_invalid($r, [fields, in order], name): a 422 with these fields
sub is_invalid {
    my ($r, $fields, $name) = @_;
    my @faults = _error_faults($r, 422, qr/./);
    my $json = $r->json // {};
    my @keys = $r->body =~ /"([^"]+)":\["/g;

    push @faults, "fields: @keys\n   not: @$fields" if "@keys" ne "@$fields";
    push @faults, 'body' if join(' ', sort keys %$json) ne 'errors message';

    for (@keys) {
        my $texts = ref $json->{errors} ? $json->{errors}{$_} : undef;
        push @faults, "$_: no text about it"
            if ref $texts ne 'ARRAY' || @$texts != 1
               || $texts->[0] !~ /\b\Q$_\E\b/;
    }

    push @faults, 'message: not that of the first field'
        if @keys && ($json->{message} // '') ne $json->{errors}{$keys[0]}[0];

    return Test::More::ok(!@faults, $name)
        || Test::More::diag(join "\n", @faults, substr $r->raw, 0, 2000);
}

1;
