package Bench::Servers;

# What is measured: servers, and the nginx processes that they are in.  One
# of the latter has a worker of its own, all of them on the same CPU.

use warnings;
use strict;

use Exporter 'import';

use Bench::Util qw(read_file output_of write_file make_dir);

our @EXPORT_OK = qw(%SERVERS %PROCESSES file_request);

my $LUA = '/usr/lib/nginx/modules';


# ours: with the module.  http: directives of that level.  workers: if not one,
# on any CPU.
our %PROCESSES = (
    exports => { ours => 1 },
    two => { ours => 1, workers => 2 },
    cached => { ours => 1, http => "    exports_page_cache 64m;\n" },
    plain => { http => \&_files },
    again => { http => \&_files },
    bare => {},
    lua => {
        globals => "load_module $LUA/ndk_http_module.so;\n"
                   . "load_module $LUA/ngx_http_lua_module.so;\n",
        http => \&_lua_http,
    },
);

# title, process; conf: the body of a server block, out of the case, which
# has by then the store, our answers, and the directory of the files that hold
# them.  same: how the answers are to equal ours: 'bytes', or but for
# 'identifiers' and times; else they are checked by themselves.  request: what
# this server is sent in the place of a request; default: the same.  needs:
# directives of the module, which may be older, and files.
our %SERVERS = (
    exports => {
        title => 'ngx_exports', process => 'exports', conf => \&_exports,
    },
    cached => {
        title => 'ngx_exports, page cache', process => 'cached',
        conf => \&_exports, same => 'identifiers',
        needs => ['exports_page_cache'],
    },
    two => {
        title => 'ngx_exports, 2 workers', process => 'two',
        conf => \&_exports, same => 'identifiers',
    },
    reference => {
        title => 'ngx_exports, reference', process => 'exports',
        conf => \&_exports,
    },
    gzip => {
        title => 'ngx_exports, exports_gzip', process => 'exports',
        conf => sub { _exports($_[0], "        exports_gzip on;\n") },
        request => \&_gzip_request, same => 'identifiers',
        needs => ['exports_gzip'],
    },
    gzip_cached => {
        title => 'ngx_exports, exports_gzip, page cache', process => 'cached',
        conf => sub { _exports($_[0], "        exports_gzip on;\n") },
        request => \&_gzip_request, same => 'identifiers',
        needs => ['exports_gzip', 'exports_page_cache'],
    },
    gzip_filter => {
        title => "ngx_exports, nginx's gzip filter, level 1",
        process => 'exports', conf => \&_gzip_filter,
        request => \&_gzip_request, same => 'identifiers',
    },

    static => {
        title => 'nginx, static file', process => 'plain',
        conf => sub { _static($_[0], 'off') },
        request => \&file_request, same => 'bytes',
    },

    # the noise: the same thing measured twice
    static_again => {
        title => 'the same in another process (A/A)', process => 'again',
        conf => sub { _static($_[0], 'off') },
        request => \&file_request, same => 'bytes',
    },
    sendfile => {
        title => 'nginx, static file, sendfile', process => 'plain',
        conf => sub { _static($_[0], 'on') },
        request => \&file_request, same => 'bytes',
    },
    return => {
        title => 'nginx, return', process => 'bare', conf => \&_return,
        same => 'bytes',
    },
    lua => {
        title => 'nginx, Lua', process => 'lua', conf => \&_lua,
        same => 'identifiers', needs => ["$LUA/ngx_http_lua_module.so"],
    },
);


sub _exports {
    my ($case, $more) = @_;
    my $user = -e "$case->{store}.key" ? <<"END" : '';

        location /api/v3/exports {
            exports_api user;
            exports_link_key_file $case->{store}.key;
            exports_link_ttl 365d;
            exports_base_url http://127.0.0.1;
        }
END

    return <<"END" . ($more // '') . $user;
        exports_store $case->{store};

        location /projects/ {
            exports_api project;
        }
END
}

sub _gzip_filter {
    my ($case) = @_;

    return _exports($case, <<"END");
        gzip on;
        gzip_comp_level 1;
        gzip_types application/json;
        gzip_proxied any;
END
}

sub _static {
    my ($case, $sendfile) = @_;

    return <<"END";
        root $case->{www};

        location / {
            sendfile $sendfile;
        }
END
}

sub _files {
    return <<'END';
    open_file_cache max=8000 inactive=1h;
    open_file_cache_valid 1h;
END
}

# a parameter of return ends at a blank, or at the quote
sub _return {
    my ($case) = @_;
    my $body = $case->{first_body} // '';

    return _location('return 304;') if $case->{code} == 304;

    die "$case->{name}: this body cannot be a parameter of return\n"
        if $body =~ /['\$\\]/ || length $body > 4000;

    return _location("return $case->{code} '$body';");
}

sub _location {
    my ($directive) = @_;

    return <<"END";
        location / {
            $directive
        }
END
}

sub _lua_http {
    my ($dir) = @_;

    return <<"END";
    lua_package_path "$dir/?.lua;;";
    init_worker_by_lua_block { math.randomseed(ngx.now() * 1000) }
END
}

sub _lua {
    my ($case) = @_;
    my $store = $case->{store};

    return <<"END";
        add_header Cache-Control "private, no-cache";
        add_header Vary Authorization;

        location /projects/ {
            content_by_lua_block { require("peer.project").list("$store") }
        }

        location = /api/v3/exports {
            content_by_lua_block {
                require("peer.user").list("$store", "http://127.0.0.1")
            }
        }
END
}


# a file for each query, of a name of that length; a long one has directories
sub file_request {
    my ($request) = @_;
    my $uri = $request->{uri} =~ tr/?%/,_/r;

    $uri =~ tr{&}{/} if length $uri > 200;

    return { %$request, uri => $uri };
}

sub _gzip_request {
    my ($request) = @_;

    return { %$request, headers => { %{ $request->{headers} },
                                     'Accept-Encoding' => 'gzip' } };
}


# Which of these directives the module does not know, or files there are not.
sub missing {
    my ($dir, $nginx, $globals, @needs) = @_;

    make_dir($dir);

    return grep {
        m{^/} ? !-e : _unknown($dir, $nginx, $globals, $_)
    } @needs;
}

sub _unknown {
    my ($dir, $nginx, $globals, $directive) = @_;

    write_file("$dir/try.conf", "$globals\nevents { }\nhttp {\n"
               . "    $directive off;\n}\n");

    return output_of('sh', '-c', '"$1" -t -p "$2" -c "$2/try.conf" -e stderr '
                                 . '2>&1', 'sh', $nginx, "$dir/")
           =~ /unknown directive/;
}

1;
