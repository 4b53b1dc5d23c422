# What the code names, the documents name: directives, variables, errors, keys
# of manifests and tokens, statuses.  Nothing is run.

use warnings;
use strict;

use FindBin;
use Test::More;

my $top = "$FindBin::Bin/..";

sub text {
    my ($file) = @_;
    open my $fh, '<', "$top/$file" or die "$file: $!";
    local $/;
    return scalar <$fh>;
}

# a source of the module, by the end of its name
sub module { text("ngx_exports_module/ngx_http_exports_$_[0]") }

# what a list in a source has, which must not be empty
sub named {
    my ($what, @names) = @_;
    cmp_ok(scalar @names, '>', 1, "$what: there are some");
    return @names;
}

sub all_in {
    my ($what, $where, $text, @names) = @_;
    my @missing = grep { $text !~ /(?<![\w-])\Q$_\E(?![\w-])/ } @names;
    is("@missing", '', "$what: $where has all");
}

# the part of a document between two lines
sub part {
    my ($text, $from, $to) = @_;
    $text =~ /^\Q$from\E\n(.*?)^\Q$to\E/ms or die "no part \"$from\"";
    return $1;
}

my $readme = text('README.md');
my $openapi = text('openapi.yaml');
my $man = text('lmdb-schema/exportsctl.1') =~ s/\\-/-/gr;


# ---- directives: a row, a section with what the table of commands says -------

my %CONTEXT = (MAIN => 'http', SRV => 'server', LOC => 'location');
my @directives;

my $commands = module('module.c');

while ($commands =~ /^    \{ ngx_string\("(\w+)"\),\n\s+(NGX_\S+),$/mg) {
    my ($name, $flags) = ($1, $2);
    push @directives, [$name, join ', ', map { $CONTEXT{$_} }
                       $flags =~ /NGX_HTTP_(\w+?)_CONF/g];
}

my $table = part($readme, '## Directives', '### ');

for (named('directives', @directives)) {
    my ($name, $context) = @$_;

    ok($table =~ /^\| \[$name\]\(#$name\)/m, "$name: a row");
    ok($readme =~ /^###\ $name\n\n
                     \ {4}Syntax:\ +$name\ .*\n(?:\ {5,}.*\n)*
                     (?:\ {4}Default:\ .*\n)
                     \ {4}Context:\ +\Q$context\E\n/mx, "$name: a section");
}

all_in('directives', 'some test',
       join('', map { text("t/$_") } map { m{([^/]+)$} } glob "$top/t/*.t"),
       map { $_->[0] } @directives);


# ---- variables ---------------------------------------------------------------

all_in('variables', 'README.md', part($readme, '## Variables', '## '),
       named('variables', module('variables.c')
                              =~ /^    \{ ngx_string\("(\w+)"\)/mg));


# ---- errors ------------------------------------------------------------------

my $errors = module('error.c');
my ($reasons) = text('ngx_exports_module/ngx_http_exports.h')
    =~ /^typedef enum \{\n([^}]+)\} ngx_http_exports_reason_e;/m;

all_in('reasons', 'error.c', $errors,
       named('reasons', $reasons =~ /^    (NGX_HTTP_EXPORTS_\w+)/mg));

my %of = reverse
    $errors =~ /^ +ngx_string\("(\w+)"\),\n +ngx_string\("([^"]+)"\)/mg;
my @codes = named('codes', values %of);

all_in('codes', 'README.md', $readme, @codes);
all_in('codes', 'openapi.yaml', $openapi, @codes);

# but for two whose bodies have texts of their own
all_in('messages', 'README.md', $readme,
       grep { !/^(?:Such a filter|The given data)/ } sort keys %of);


# ---- manifests ---------------------------------------------------------------

my %keys = map { $_ => [grep { $_ ne 'download_url' }
                        text("lmdb-schema/exports_manifest_$_.c")
                            =~ /^    FIELD\(\w+, "(\w+)"/mg] } qw(project user);
my %part = (
    project => [part($readme, "The keys of a project's manifest:", 'The keys'),
                part($man, 'is a manifest of the project exports API.',
                     '.PP')],
    user => [part($readme, "The keys of a user's manifest:", 'Only values'),
             part($man, 'is of the user exports API.', '.PP')],
);

for my $kind (sort keys %keys) {
    named("keys of $kind", @{ $keys{$kind} });
    all_in("keys of $kind", 'README.md', $part{$kind}[0], @{ $keys{$kind} });
    all_in("keys of $kind", 'exportsctl.1', $part{$kind}[1], @{ $keys{$kind} });
}


# ---- statuses ----------------------------------------------------------------

my @statuses = named('statuses',
    text('lmdb-schema/exports_text.c')
        =~ /^    \[EXPORTS_STATUS_\w+\] = "(\w+)"/mg);

all_in('statuses', $_->[0], $_->[1], @statuses)
    for ['README.md', part($readme, '### Manifests', '### ')],
        ['openapi.yaml', $openapi], ['exportsctl.1', $man],
        ['lmdb-schema/README.md', text('lmdb-schema/README.md')];


# ---- tokens ------------------------------------------------------------------

my @token = named('keys of tokens', text('lmdb-schema/exports_token.c')
                                        =~ /strcmp\(key, "(\w+)"\)/g);

all_in('keys of tokens', 'README.md',
       part($readme, '### Making and revoking tokens', '### '), @token);
all_in('keys of tokens', 'exportsctl.1',
       part($man, '(64 hexadecimal digits) is a token.', '.PP'),
       grep { $_ ne 'sha256' } @token);

done_testing;
