<?php
// Tameng, role website: changes made here by hand are undone at the next run.

// A wrong log-in is noted where fail2ban reads it, and tells nobody which word was wrong.
add_action('wp_login_failed', function () {
    openlog('tameng-website', LOG_PID, LOG_AUTH);
    syslog(LOG_NOTICE, 'wrong log-in from ' . $_SERVER['REMOTE_ADDR']);
    closelog();
});
add_filter('login_errors', fn() => 'Nama pengguna atau kata sandi salah.');

// One way to log in, the form.
add_filter('xmlrpc_enabled', '__return_false');
add_filter('wp_is_application_passwords_available', '__return_false');

// Strangers learn neither who may log in,
add_filter('rest_endpoints', fn($routes) => is_user_logged_in() ? $routes : array_filter(
    $routes,
    fn($route) => !str_starts_with($route, '/wp/v2/users'),
    ARRAY_FILTER_USE_KEY
));
add_action('template_redirect', function () {
    if (is_author()) {
        $GLOBALS['wp_query']->set_404();
        status_header(404);
    }
}, 0);
add_filter('wp_sitemaps_add_provider', fn($provider, $name) => $name === 'users' ? false : $provider, 10, 2);

// nor the version: a browser still sees that a file is newer.
add_filter('the_generator', '__return_empty_string');
foreach (['script_loader_src', 'style_loader_src'] as $hook) {
    add_filter($hook, fn($src) => str_replace(
        'ver=' . $GLOBALS['wp_version'],
        'ver=' . substr(wp_hash($GLOBALS['wp_version']), 0, 8),
        (string) $src
    ));
}
