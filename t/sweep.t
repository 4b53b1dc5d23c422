# exportsctl sweep: manifests whose file is gone or that expired, and back.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project;
                              exports_store %%DIR%%/store; }
        location /big/ { exports_api project; exports_store %%DIR%%/big; }
    }
}
EOC

my ($missing, $expired) = ('swept: the file is missing',
                           'swept: the export expired');
my ($past, $future) = ('2026-06-03T00:00:00Z', '2999-01-01T00:00:00Z');

my $root = $t->path('files');

mkdir $_ or die for $root, "$root/in", "$root/in/dir", $t->path('out');
$t->write_file($_, 'x') for "$root/there", "$root/in/there",
                            "$root/exp_by_id", $t->path('out/there');
symlink 'there', "$root/link" or die;
symlink 'in', "$root/link_dir" or die;
symlink '../out/there', "$root/out" or die;
symlink '../out', "$root/out_dir" or die;
symlink $t->path('out/there'), "$root/absolute" or die;
symlink 'nothing', "$root/dangling" or die;
symlink 'loop', "$root/loop" or die;

# manifests, and what a sweep says of them: the reason; '': it has nothing to
# do with them
my %swept = (
    there => ['', storage_key => 'there'],
    there_deep => ['', storage_key => 'in/there'],
    there_later => ['', storage_key => 'there', expires_at => $future],
    by_id => [''],
    link => ['', storage_key => 'link'],
    link_dir => ['', storage_key => 'link_dir/there'],
    gone => [$missing, storage_key => 'gone'],
    gone_deep => [$missing, storage_key => 'in/none/gone'],
    gone_below_a_file => [$missing, storage_key => 'there/x'],
    gone_by_id => [$missing],
    'x' x 124, [$missing],
    gone_later => [$missing, storage_key => 'gone', expires_at => $future],
    long => [$missing, storage_key => 'x' x 300],
    longest => [$missing, storage_key => join '/', ('x' x 204) x 5],
    odd => [$missing, storage_key => "\x{e4}/\x{20ac} \"'\\"],
    dir => [$missing, storage_key => 'in/dir'],
    out => [$missing, storage_key => 'out'],
    out_dir => [$missing, storage_key => 'out_dir/there'],
    absolute => [$missing, storage_key => 'absolute'],
    dangling => [$missing, storage_key => 'dangling'],
    loop => [$missing, storage_key => 'loop'],
    expired => [$expired, storage_key => 'there', expires_at => $past],
    expired_first => [$expired, storage_key => 'there',
                      expires_at => '1970-01-01T00:00:00Z'],
    expired_gone => [$expired, storage_key => 'gone', expires_at => $past],
    s3 => ['', storage_backend => 's3', storage_key => 'gone'],
    s3_expired => [$expired, storage_backend => 's3', expires_at => $past],
    Local => ['', storage_backend => 'Local', storage_key => 'gone'],
    said => ['', storage_key => 'there', status => 'not_found',
             status_reason => 'gone', missing_at => $past],
    said_gone => ['', storage_key => 'gone', status => 'not_found',
                  status_reason => 'gone', missing_at => $past],
    said_nothing => ['', storage_key => 'there', status => 'not_found'],
    said_alike => ['', storage_key => 'there', status => 'not_found',
                   status_reason => "$missing."],
    said_expired => ['', storage_key => 'there', expires_at => $past,
                     status => 'not_found', status_reason => undef],
);

my $n = 0;
my @lines;

for (sort keys %swept) {
    my ($reason, %m) = @{ $swept{$_} };
    push @lines, project_line(project => 'demo', id => "exp_$_", table => $_,
        created_at => stamp(1_700_000_000_123_456 + $n++), %m);
}

push @lines, map { project_line(project => 'whole', id => "exp_$_",
                                storage_key => 'there') } 1 .. 5;
push @lines, project_line(project => 'none', id => 'exp_1',
                          status => 'not_found');

my @users = (
    { user => 42, uuid => 'u-there', storage_key => 'there' },
    { user => 42, uuid => 'u-gone', storage_key => "in/g\x{f6}ne" },
    { user => 'ann', uuid => 'u-by-id' },
    { user => 'ann', uuid => 'u-failed', status => 'failed' },
    { user => 'ann', uuid => 'u-s3', storage_backend => 's3' },
);

my $store = $t->store('store', @lines, map { user_line(%$_) } @users);
my %auth = map { $_ => [Authorization => 'Bearer '
                        . $t->token($store, project => $_)] }
           qw(demo whole none);
my $changes = grep { $_->[0] ne '' } values %swept;
my %changes = map { my $r = $_; $r => scalar grep { $_->[0] eq $r }
                                             values %swept } $missing, $expired;

# chunks end after so many records, and after so many that may change: of
# 13,000 manifests 2,500 change

sub big {
    my ($project, $first, $n, %m) = @_;
    return map { project_line(project => $project,
        id => sprintf('exp_%05d', $_), created_at => stamp(
            1_700_000_000_000_000 + $_), %m) } $first .. $first + $n - 1;
}

my $big = $t->store('big',
    big('quiet', 1, 10_500, storage_key => 'none', status => 'not_found'),
    big('still', 1, 1_000, storage_key => 'there'),
    big('busy', 1, 1_250, storage_key => 'shared'),
    big('busy', 2_001, 250, storage_key => 'there'),
    big('busy2', 1, 1_250, storage_key => 'shared'));
my $all = 10_500 + 1_000 + 1_250 + 250 + 1_250;

my %big = map { $_ => [Authorization => 'Bearer '
                       . $t->token($big, project => $_)] }
          qw(quiet still busy busy2);

$t->run;


# ---- what it takes ---------------------------------------------------------

sub usage {
    my ($name, $exit, $what, @args) = @_;
    my ($got, $out, $err) = $t->ctl('sweep', @args);
    ok $got == $exit && $err =~ $what && $out eq '', $name
        or diag "exit $got\n$out$err";
}

usage('no root', 2, qr/--root is missing/, $store);
usage('no store', 2, qr/./, '--root', $root);
usage('an empty root', 2, qr/--root/, $store, '--root', '');
usage('a root without a value', 2, qr/--root/, $store, '--root');
usage('too many arguments', 2, qr/./, $store, 'x', '--root', $root);
usage('a root that is missing', 1, qr{/none": No such file}, $store, '--root',
      $t->path('none'));
usage('a root that is a file', 1, qr/Not a directory/, $store, '--root',
      "$root/there");
usage('a store that is missing', 1, qr/./, $t->path('none'), '--root', $root);
like $t->ctl_ok('sweep', '--help'), qr/--dry-run.*--root DIR/s, '--help';


# ---- the state of things ---------------------------------------------------

sub exported { $t->ctl_ok('export', $_[0] // $store) }

# { id => manifest }
sub manifests {
    my %m = map { my $m = json($_); ($m->{id} // $m->{uuid}) => $m }
            split /\n/, exported();
    return \%m;
}

sub statuses {
    return { map { my $m = json($_); $m->{id} => $m->{status} }
             split /\n/, exported(@_) };
}

sub sweep { json($t->ctl_ok('sweep', $store, '--root', $root, '--json', @_)) }

sub counts {
    my ($dry, $checked, $missing, $expired, $restored, $users, $errors) = @_;
    return { dry_run => $dry ? JSON::PP::true : JSON::PP::false,
             checked => $checked, missing => $missing, expired => $expired,
             restored => $restored, user_files_missing => $users,
             errors => $errors // 0 };
}

sub etags {
    my %etags = map {
        $_ => $t->get("/projects/$_/exports", @{ $auth{$_} })->header('ETag')
    } keys %auth;
    return \%etags;
}

sub verified {
    my $result = json($t->ctl_ok('verify', $store, '--json'));
    is $result->{found}, 0, "$_[0]: the store is sound";
}

# the manifests as they are now, but for the times, are those, changed
sub changed_are {
    my ($before, $changed, $name) = @_;
    my $after = manifests();
    my ($now, @faults) = time;

    for my $id (sort keys %$before) {
        my $want = { %{ $before->{$id} }, %{ $changed->{$id} || {} } };
        my $got = { %{ $after->{$id} || {} } };

        if (($want->{missing_at} // '') eq 'now') {
            my $at = $got->{missing_at} // '';
            push @faults, "$id: missing_at: $at"
                if $at !~ /^[\d-]+T[\d:]+Z\z/ || abs(micros($at) / 1e6 - $now)
                                                 > 60;
            $got->{missing_at} = 'now';
        }

        push @faults, "$id:\n  got:  " . json_text($got) . "\n  want: "
                      . json_text($want)
            if json_text($got) ne json_text($want);
    }

    push @faults, 'others' if keys %$after != keys %$before;

    ok !@faults, $name or diag join "\n", @faults;
}

my %gone = (status => 'not_found', missing_at => 'now');
my %back = (status => 'ready', status_reason => undef, missing_at => undef);
my $checked = @lines + @users;


# ---- nothing but words -----------------------------------------------------

my $first = manifests();
my $text = exported();
my $etags = etags();

is_deeply sweep('--dry-run'), counts(1, $checked, $changes{$missing},
          $changes{$expired}, 0, 2), '--dry-run: what would be done';
is exported(), $text, '--dry-run: nothing is';
is_deeply etags(), $etags, '--dry-run: not a revision';

my $out = $t->ctl_ok('sweep', $store, '--root', $root, '--dry-run');
like $out, qr/^checked $checked manifests: $changes would become not_found /m,
     '--dry-run: in words';
like $out, qr/ \($changes{$missing} without a file, $changes{$expired} exp/,
     '--dry-run: why';
like $out, qr/, 0 would be ready again; 2 files of users' exports missing; 0 err/,
     '--dry-run: and the rest';


# ---- a sweep ---------------------------------------------------------------

$out = $t->ctl_ok('sweep', $store, '--root', $root);

like $out, qr/^user 42: u-gone: no file "in\/g\xc3\xb6ne"$/m,
     'a file of a user\'s export is named';
like $out, qr/^user ann: u-by-id: no file "u-by-id"$/m, 'and another';
is scalar(() = $out =~ /^user /mg), 2, 'no others';

changed_are($first, { map { my $reason = $swept{$_}[0];
    $reason eq '' ? () : ("exp_$_" => { %gone, status_reason => $reason })
} keys %swept }, 'what is gone is not_found, the rest as it was');
verified('swept');

my $now = etags();
isnt $now->{demo}, $etags->{demo}, 'swept: a revision';
is $now->{$_}, $etags->{$_}, "swept: none of $_" for qw(whole none);

my $r = $t->get('/projects/demo/exports?status=not_found&limit=500',
                @{ $auth{demo} });
is total($r), $changes + 5, 'lists show it';
is_deeply [sort map { $_->{id} }
           grep { ($_->{status_reason} // '') eq $missing }
           @{ $r->json->{data}{exports} }],
          [sort map { "exp_$_" } grep { $swept{$_}[0] eq $missing }
           keys %swept], 'and why';

my $second = manifests();
is_deeply sweep(), counts(0, $checked, 0, 0, 0, 2), 'again: nothing to do';
is_deeply manifests(), $second, 'again: nothing done, times stay';
is_deeply etags(), $now, 'again: no revision';


# ---- and back --------------------------------------------------------------

$t->write_file("$root/gone", 'y');
unlink "$root/out";
$t->write_file("$root/out", 'a file now');

is_deeply sweep('--dry-run'), counts(1, $checked, 0, 0, 3, 2),
          'files are back: --dry-run';
is_deeply manifests(), $second, 'files are back: --dry-run changes nothing';
is_deeply sweep(), counts(0, $checked, 0, 0, 3, 2), 'files are back';
changed_are($second, { map { $_ => \%back } qw(exp_gone exp_gone_later
                                              exp_out) },
            'files are back: these are ready, what others said stays');
verified('back');

# not what expired, though its file is back; not what was said by others
my $third = manifests();
is $third->{exp_expired_gone}{status_reason}, $expired, 'expired stays so';
is $third->{exp_said}{status_reason}, 'gone', 'what others said too';

# gone again, and an expired one that is given more time as it is
unlink "$root/gone", "$root/in/there";
$t->load($store, json_text({ %{ $third->{exp_expired} },
                             expires_at => $future }));
is_deeply sweep(), counts(0, $checked, 4, 0, 1, 2), 'there and back';
changed_are({ %$third, exp_expired => { %{ $third->{exp_expired} },
                                        expires_at => $future } },
            { exp_expired => \%back,
              map { $_ => { %gone, status_reason => $missing } }
              qw(exp_gone exp_gone_later exp_there_deep exp_link_dir) },
            'there and back: each by itself');
verified('there and back');

# an import says otherwise: its word counts until the next sweep
$t->load($store, json_text({ %{ $third->{exp_gone} }, %back }));
is manifests()->{exp_gone}{status}, 'ready', 'an import';
is_deeply sweep(), counts(0, $checked, 1, 0, 0, 2), 'and the sweep behind it';

# the root as a symlink, with slashes, relative
symlink $root, $t->path('root') or die;
is_deeply json($t->ctl_ok('sweep', $store, '--json', '--root', $_)),
          counts(0, $checked, 0, 0, 0, 2), "root: $_"
    for $t->path('root'), "$root/", "$root/../files//";

# an empty store
my $empty = $t->store('empty');
is_deeply json($t->ctl_ok('sweep', $empty, '--json', '--root', $root)),
          counts(0, 0, 0, 0, 0, 0), 'an empty store';


# ---- what cannot be looked at is not missing -------------------------------

SKIP: {
    my @who = $> == 0 ? (getpwnam($t->user // ''))[2, 3] : ();

    skip 'nobody to run it as', 3 if $> == 0 && !@who;

    # as many before it as are looked at together: it takes the place of one

    my $locked = $t->store('locked',
        map({ project_line(id => "exp_1_$_", storage_key => 'gone',
                           created_at => $past) } 1 .. 1_000),
        project_line(id => 'exp_2', storage_key => 'shut/x',
                     created_at => '2026-06-04T00:00:00Z'),
        project_line(id => 'exp_3', storage_key => 'gone',
                     created_at => $future));
    mkdir "$root/shut", 0;

    if (@who) {
        chown @who, $_ or die for $locked, glob "$locked/*";
    }

    my ($exit, $out, $err) = $t->ctl('sweep', $locked, '--root', $root,
        { before => sub {
            @who or return;
            POSIX::setgid($who[1]);
            POSIX::setuid($who[0]);
        } });

    skip 'the command is out of reach', 3 if $exit == 127;

    ok $exit == 1 && $err =~ m{project \S+: exp_2: left.*"shut/x": Perm},
       'a directory that is shut' or diag "exit $exit\n$out$err";
    like $out, qr/ 1001 have become .* 0 are ready again;.*; 1 error$/m,
         'it is counted';
    my %locked = %{ statuses($locked) };
    is_deeply [grep { $locked{$_} ne 'not_found' } keys %locked], ['exp_2'],
              'its file is not missing, others are';
    rmdir "$root/shut";
}


# ---- what cannot be swept does not keep the others -------------------------

# a record nearly as large as one may be has no room for a reason: as JSON six
# bytes for each byte of its format

sub large {
    return project_line(id => 'exp_large', storage_key => 'gone',
        created_at => '2020-01-01T00:00:00Z', table => "\1" x 200,
        map({ $_ => "\1" x 1024 } qw(scope download_name)),
        format => "\1" x $_[0]);
}

sub fits {
    return ($t->ctl('put', $_[0], '-', { stdin => large($_[1]) }))[0] == 0;
}

my $full = $t->store('full', map { project_line(id => "exp_$_",
    storage_key => 'gone', created_at => stamp(1_700_000_000_000_000 + $_))
} 1 .. 1_500);

my ($fits, $over) = (1, 1024);
while ($over - $fits > 1) {
    my $half = int(($fits + $over) / 2);
    (fits($full, $half) ? $fits : $over) = $half;
}

for (['--dry-run', 'would'], ['--json'], []) {
    my ($exit, $out, $err) = $t->ctl('sweep', $full, '--root', $root,
                                     $_->[0] // ());
    is $exit, 1, "a large one @$_: exit";
    like $err, qr/project \S+: exp_large: left as it is: larger than a record/,
         "a large one @$_: why";
    is scalar(() = $err =~ /\n/g), 1, "a large one @$_: once";
    like $out, ($_->[1] ? qr/ 1500 would .*; 1 error$/m
                : @$_ ? qr/"missing":1500,.*"errors":1\b/
                : qr/ 0 have become .*; 1 error$/m),
         "a large one @$_: the others";
}

my %full = %{ statuses($full) };
is $full{exp_large}, 'ready', 'a large one stays as it was';
is scalar(grep { $_ eq 'not_found' } values %full), 1_500, 'the others not';

# a key that is too short: of the second of three, before its checksum is seen

my $short = $t->store('short', map { project_line(id => "exp_$_",
    storage_key => 'gone', created_at => stamp(1_700_000_000_000_000 + $_))
} 1 .. 3);

my $data = $t->read_file("$short/data.mdb");
my $key = pack 'Q>', 1_700_000_000_000_002;
my $keys = 0;
open my $fh, '+<:raw', "$short/data.mdb" or die "open: $!";
while ($data =~ /\x18\0.{8}\Q$key\E/gs) {
    seek $fh, $-[0], 0;
    print $fh "\x17";
    $keys++;
}
close $fh or die "close: $!";
cmp_ok $keys, '>', 0, 'a short key is made';

my $short_data = $t->read_file("$short/data.mdb");
my ($short_exit, $short_out, $short_err) = $t->ctl('sweep', $short, '--root',
                                                   $root, '--json');
is $short_exit, 1, 'a short key: exit';
like $short_err, qr/a record is damaged: run "exportsctl verify"\n.*: exp_1: /s,
     'a short key: is said';
like $short_err, qr/exp_1: .*other entries of manifests may be lost/,
     'a short key: nothing is written beside it';
ok $short_data eq $t->read_file("$short/data.mdb"),
   'a short key: nothing is changed' or diag $short_out;


# ---- a project that cannot be read -----------------------------------------

my $shut = $t->store('shut', map { project_line(
    project => $_, id => 'exp_1', storage_key => 'gone') } 'open', 'shut');

$data = $t->read_file('shut/data.mdb');
open $fh, '+<:raw', "$shut/data.mdb" or die "open: $!";
while ($data =~ /\x05\0pshut/g) {
    seek $fh, $+[0] + 20, 0;
    print $fh "\xff";
}
close $fh or die "close: $!";

my ($shut_exit, $shut_out, $shut_err) = $t->ctl('sweep', $shut, '--root',
                                                $root, '--json');
is $shut_exit, 1, 'a damaged project: exit';
like $shut_err, qr/project \?: exp_1: left as it is: its project cannot be read/,
     'a damaged project: is said';
is_deeply json($shut_out), counts(0, 2, 1, 0, 0, 0, 1),
          'a damaged project: the others';


# ---- an entry that a manifest is found by -----------------------------------

# is damaged where its value ends, in whatever copies there are of the page

my $unfound = $t->store('unfound', map { project_line(
    project => 'p', id => "exp_$_", storage_key => 'gone') } qw(first other));

$data = $t->read_file('unfound/data.mdb');
open $fh, '+<:raw', "$unfound/data.mdb" or die "open: $!";
while ($data =~ /p.{8}exp_first/gs) {
    seek $fh, $+[0] + 10, 0;
    print $fh "\xff";
}
close $fh or die "close: $!";

my ($unfound_exit, $unfound_out, $unfound_err)
    = $t->ctl('sweep', $unfound, '--root', $root, '--json');
is $unfound_exit, 1, 'a damaged entry: exit';
like $unfound_err, qr/exp_first: left as it is: damaged: run /,
     'a damaged entry: is said';
is_deeply json($unfound_out), counts(0, 2, 1, 0, 0, 0, 1),
          'a damaged entry: the others';


# ---- what was changed while the files were looked at -----------------------

# an import holds the write lock, so that the sweep waits with what it found

my $raced = $t->store('raced', map {
    project_line(project => 'p', id => "exp_$_", storage_key => 'gone',
                 expires_at => $past)
} qw(prolonged moved elsewhere same));

my $import = $t->start_ctl('import', $raced, '-', '--atomic', '--batch', 1);
print { $import->{in} } map { "$_\n" }
    project_line(project => 'p', id => 'exp_prolonged', storage_key => 'gone',
                 expires_at => $future),
    project_line(project => 'p', id => 'exp_moved', storage_key => 'gone2',
                 expires_at => $past),
    project_line(project => 'p', id => 'exp_elsewhere', storage_key => 'gone',
                 storage_backend => 's3', expires_at => $past);

ok wait_for(sub { $t->lock_owner('raced') == $import->{pid} }), 'an import has begun';

my $sweep = $t->start_ctl('sweep', $raced, '--root', $root, '--json');
ok wait_for(sub {
    $t->read_file("/proc/$sweep->{pid}/wchan") =~ /futex/
        || $t->read_file("/proc/$sweep->{pid}/syscall") =~ /^(?:202|98) /;
}), 'a sweep waits for it, with what it has found';

is +($t->finish($import))[0], 0, 'the import ends';
my ($raced_exit, $raced_out, $raced_err) = $t->finish($sweep);
is $raced_exit, 0, 'the sweep ends' or diag $raced_err;
is json($raced_out)->{expired}, 1, 'of four that had expired it marks one';

is_deeply statuses($raced), { exp_prolonged => 'ready', exp_moved => 'ready',
          exp_elsewhere => 'ready', exp_same => 'not_found' },
          'the one that is as it was';


# ---- a root that is replaced meanwhile --------------------------------------

# its files are gone because somebody has put others in their place: the first
# chunk waits for an import, the second finds nothing of them

{
    my ($old, $new, $link) = map { $t->path($_) } qw(once anew given);
    mkdir $_ or die for $old, $new;
    $t->write_file("$_/there", 'x') for $old, $new;
    symlink 'once', $link or die;

    my $replaced = $t->store('replaced', big('p', 0, 1, storage_key => 'gone'),
                             big('p', 1, 1_500, storage_key => 'there'));
    my $import = $t->start_ctl('import', $replaced, '-', '--atomic', '--batch', 1);
    print { $import->{in} } map { project_line(project => 'q', id => "exp_$_")
                                  . "\n" } 1, 2;
    ok wait_for(sub { $t->lock_owner('replaced') == $import->{pid} }),
       'an import has begun';

    my $sweep = $t->start_ctl('sweep', $replaced, '--root', $link);
    ok wait_for(sub {
        $t->read_file("/proc/$sweep->{pid}/wchan") =~ /futex/
            || $t->read_file("/proc/$sweep->{pid}/syscall") =~ /^(?:202|98) /;
    }), 'a sweep waits for it';

    symlink 'anew', "$link.new" or die;
    rename "$link.new", $link or die;
    unlink "$old/there" or die;
    rmdir $old or die;
    $t->finish($import);

    my ($exit, undef, $err) = $t->finish($sweep);
    is $exit, 1, 'a root was replaced: exit';
    like $err, qr{: "\Q$link\E" was replaced while in use: sweep again$},
         'it is said';
    my $statuses = statuses($replaced);
    is_deeply [grep { $statuses->{$_} eq 'not_found' } keys %$statuses],
              ['exp_00000'], 'what is there is not missing';
}


# ---- many, next to readers -------------------------------------------------

sub list { $_[0]->get("/big/$_[1]/exports?$_[2]", @{ $big{$_[1]} }) }

# a sweep, and requests while it runs; what is wrong with their answers
sub sweep_and_read {
    my $file = $t->path('sweep.out');
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>', $file;
        exec $t->{ctl}, 'sweep', $big, '--root', $root, '--json'
            or POSIX::_exit(127);
    }

    my @c = map { $t->connect } 1 .. 2;
    my ($requests, $ended, %seen, @faults) = (0, 0);

    while (1) {
        my $status = (qw(all ready not_found))[rand 3];
        my $project = (qw(busy busy2 still))[rand 3];
        my $offset = int rand 1_600;
        my $args = "status=$status&limit=50&offset=$offset";
        my $r = list($c[$requests++ % 2], $project, $args);
        my $body = masked($r->body);
        my $etag = $r->header('ETag') // '';
        my $total = { busy => 1_500, busy2 => 1_250, still => 1_000 }
                    ->{$project};

        push @faults, "$args: " . $r->status if $r->status != 200;
        push @faults, "$args: total " . total($r)
            if $status eq 'all' && total($r) != $total;
        push @faults, "$args: of another status"
            if $status ne 'all' && $body =~ /"status":"(?!$status")/;
        push @faults, "$args: one ETag, two bodies"
            if ($seen{$etag} //= $body) ne $body;

        last if $ended || @faults > 5;
        $ended = waitpid($pid, POSIX::WNOHANG) == $pid ? 1 : 0;
        push @faults, "exit status $?" if $ended && $?;
    }

    # with too many faults it may still run
    waitpid $pid, 0 if !$ended;

    my $result = $t->read_file($file);
    return ($result ne '' ? json($result) : undef, @faults);
}

my %revision = map { $_ => list($t->connect, $_, 'limit=1')->header('ETag') }
               keys %big;

my ($result, @faults) = sweep_and_read();
is_deeply $result, counts(0, $all, 2_500, 0, 0, 0), 'many: gone';
is "@faults", '', 'many: readers see one state or the next';
is total(list($t->connect, 'busy', 'status=not_found')), 1_250,
   'many: of the first project';
is total(list($t->connect, 'busy', 'status=ready')), 250, 'many: the rest';
is total(list($t->connect, 'busy2', 'status=not_found')), 1_250,
   'many: of the second';
is list($t->connect, $_, 'limit=1')->header('ETag'), $revision{$_},
   "many: no revision of $_" for qw(quiet still);
isnt list($t->connect, $_, 'limit=1')->header('ETag'), $revision{$_},
     "many: a revision of $_" for qw(busy busy2);

$t->write_file("$root/shared", 'x');
($result, @faults) = sweep_and_read();
is_deeply $result, counts(0, $all, 0, 0, 2_500, 0), 'many: back';
is "@faults", '', 'many: readers';
is total(list($t->connect, 'busy', 'status=ready')), 1_500, 'many: all ready';
is json($t->ctl_ok('verify', $big, '--json'))->{found}, 0,
   'many: the store is sound';

$t->done;
done_testing;
