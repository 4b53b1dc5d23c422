# The user exports API over TLS: the links of its pages are https, and those of
# one connection are not shown to another one.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new;

plan skip_all => 'no openssl' if ($t->_exec({}, qw(openssl version)))[0] != 0;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_link_key_file %%DIR%%/key;
    exports_page_cache 1m;
    ssl_certificate %%DIR%%/tls.pem;
    ssl_certificate_key %%DIR%%/tls.pem;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_tls%% ssl;
        location /exports { exports_api user; }
    }
}
EOC

$t->_certificate;

my ($exit, $said) = $t->check_conf($t->{template});
plan skip_all => 'nginx without TLS' if $said =~ /"ssl" parameter requires/;
plan tests => 12;

key_file($t, 'key');
mkdir $t->path('files');
$t->write_file('files/the_file', 'of 42');

my $store = $t->store('store', user_line(user => 42, uuid => 'one',
                                         storage_key => 'the_file'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->run;

sub by_tls {
    my ($uri, @headers) = @_;
    my (undef, $out, $err) = $t->_exec({
        stdin => Exports::Test::request_text('GET', $uri, @headers,
                                             Connection => 'close'),
    }, qw(openssl s_client -quiet -connect), '127.0.0.1:' . $t->port('tls'));
    my @parts = $out =~ /^(.*?\r\n\r\n)(.*)\z/s or die $err;

    return Exports::Test::Response->of(@parts);
}

sub by_tcp { $t->connect->get(@_) }


# each is asked twice: the second time the page is kept

my %by = (https => \&by_tls, http => \&by_tcp);
my %etag;

for my $turn ('made', 'kept') {
    for my $scheme (qw(https http)) {
        my $url = "$scheme://localhost/exports";
        my $r = $by{$scheme}->('/exports', @auth);
        my ($link) = links_of($r);

        is_list $r, ['one'], { path => $url, first => "$url?page=1" },
                "$scheme, $turn";
        like $link, qr{^$url/one/download\?}, "$scheme, $turn: its link";
        $etag{$scheme} = $r->header('ETag');

        is $by{$scheme}->($link =~ s{^$scheme://localhost}{}r)->body, 'of 42',
           "$scheme: the link is followed" if $turn eq 'made';
    }
}

isnt $etag{https}, $etag{http}, 'their ETags differ';

$t->done;
